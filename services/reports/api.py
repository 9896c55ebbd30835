"""The API: `/api/v1/csat/…`, read only, one account's figures for the key that is brought.

No address holds an account: a key opens its own account and there is no way to name another.
"""

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

from litestar import Request, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import figures, queries
from services.reports.answers import (
    AgentFigures,
    Agents,
    Covered,
    Distribution,
    Figures,
    Period,
    Problem,
    Response,
    Responses,
    Summary,
    Trend,
)
from services.reports.api_keys import account_let_in
from services.reports.days import Granularity, WrongDays, days_between
from services.reports.live import tell_changes
from services.reports.problems import wrong_parameter
from services.reports.queries import Asked
from services.reports.tables import Account, Rating
from shared.chassis.requests import ENDLESS
from shared.chassis.tenancy import session_of
from shared.contracts.event import MAX_ID_LENGTH
from shared.public_pages.api_keys import brought_key, opens_nothing

VERSION = "1.0.0"
REALM = "closeloop reports"


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        Problem, description=description, media_type="application/problem+json", generate_examples=False
    )


PROBLEMS = {
    400: _problem("A parameter is wrong"),
    401: _problem("No key, or one that opens nothing"),
    429: _problem("Too many requests with this key, or too many keys that open nothing; see Retry-After"),
}


async def account_of_key(request: Request, state: State) -> Account:
    """Let in who brings a key. Raises TooMany (429) and NotAuthorizedException (401, which says how: RFC 6750, 3)."""
    account = await account_let_in(brought_key(request, REALM), request, state)
    if account is None:
        raise opens_nothing(REALM)
    return account


async def session_of_account(account: NamedDependency[Account], state: State) -> AsyncIterator[AsyncSession]:
    """Give a route its session, which sees the account's rows and no others."""
    async with session_of(account.account_id, state.sessions) as session:
        yield session


def asked_for(
    request: Request,
    state: State,
    account: NamedDependency[Account],
    *,
    from_: Annotated[
        date | None,
        QueryParameter(name="from", description="First day; without it, 30 days before `to`."),
    ] = None,
    to: Annotated[
        date | None,
        QueryParameter(description="The day after the last one; without it, tomorrow, so that today is in."),
    ] = None,
    agent: Annotated[
        str | None,
        QueryParameter(description="Id of an agent; without it, all.", min_length=1, max_length=MAX_ID_LENGTH),
    ] = None,
) -> Asked:
    """Understand what every report takes. Raises ValidationException (400)."""
    _refuse_unknown_parameters(request)
    if agent is not None and not agent.isprintable():
        raise wrong_parameter("agent", "has unprintable characters")
    try:
        days = days_between(from_, to, today=state.clock().astimezone(account.zone).date())
    except WrongDays as wrong:
        raise wrong_parameter({"start": "from", "end": "to"}[wrong.end], str(wrong)) from None
    return Asked(account.account_id, days, agent)


def _refuse_unknown_parameters(request: Request) -> None:
    """Refuse what would be ignored: a mistyped filter must not look like an answer for all."""
    known = {parameter.field_alias for parameter in request.route_handler.create_kwargs_model({}).expected_query_params}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise wrong_parameter(name[:50], f"is unknown; there are {', '.join(sorted(known))}")
        if given.count(name) > 1:
            raise wrong_parameter(name, "is given twice")


@get("/summary", responses=PROBLEMS)
async def show_summary(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Summary:
    """Average, CSAT, response rate, and what became of the surveys."""
    return Summary.of(Covered.by(asked, account), await figures.totals(asked, session))


@get("/distribution", responses=PROBLEMS)
async def show_distribution(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Distribution:
    """How often each score was given."""
    return Distribution.of(Covered.by(asked, account), (await figures.totals(asked, session)).scores)


@get("/agents", responses=PROBLEMS)
async def show_agents(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Agents:
    """Each agent's figures, best first."""
    agents = await figures.agents(asked, session)
    return Agents(
        Covered.by(asked, account),
        [AgentFigures(agent.agent_id, agent.name, Figures.of(agent.scores), agent.rank) for agent in agents],
    )


@get("/trend", responses=PROBLEMS)
async def show_trend(
    asked: NamedDependency[Asked],
    account: NamedDependency[Account],
    session: NamedDependency[AsyncSession],
    granularity: Annotated[Granularity, QueryParameter(description="Weeks start on Monday.")] = "day",
) -> Trend:
    """The figures over time, periods without responses included."""
    periods = await figures.trend(asked, granularity, session)
    return Trend(Covered.by(asked, account), granularity, [Period.of(days, scores) for days, scores in periods])


@get("/responses", responses=PROBLEMS)
async def list_responses(
    asked: NamedDependency[Asked],
    account: NamedDependency[Account],
    session: NamedDependency[AsyncSession],
    cursor: Annotated[
        str | None,
        QueryParameter(
            description="`next` of the page before. Keep `from`, `to` and `agent` as they were.",
            max_length=MAX_ID_LENGTH,
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Responses on a page.")] = 25,
) -> Responses:
    """Each response with its comment, newest first."""
    after = None
    if cursor is not None:
        after = await session.get(Rating, (asked.account_id, cursor)) if cursor.isprintable() else None
        if after is None or after.submitted_at is None:
            raise wrong_parameter("cursor", "belongs to no page of ours")
    found = (await session.scalars(queries.responses(asked, limit + 1, after=after))).all()
    page = found[:limit]
    return Responses(
        Covered.by(asked, account),
        [Response.of(rating) for rating in page],
        page[-1].survey_id if len(found) > limit else None,
    )


@get(
    "/live",
    opt={ENDLESS: True},
    media_type="text/event-stream",
    responses={
        200: ResponseSpec(str, description="Events as they happen", media_type="text/event-stream"),
        503: _problem("Too many readers, or nobody who tells; see Retry-After"),
        **PROBLEMS,
    },
)
async def tell_of_changes(account: NamedDependency[Account], state: State) -> ServerSentEvent:
    """Server-sent events: `changed` at once, and whenever a figure of the account has changed.

    The event holds no figure: ask for what you show. After a quarter of an hour, and when the connection is lost, come
    again; any client of server-sent events does so by itself.
    """
    return tell_changes(account, state.live)


api = Router(
    "/api/v1/csat",
    route_handlers=[show_summary, show_distribution, show_agents, show_trend, list_responses, tell_of_changes],
    dependencies={
        "account": Provide(account_of_key),
        "session": Provide(session_of_account),
        "asked": Provide(asked_for, sync_to_thread=False),
    },
    include_in_schema=True,
    security=[{"apiKey": []}],
)

openapi = OpenAPIConfig(
    title="closeloop reports",
    version=VERSION,
    description="How satisfied an account's requesters are. A key shows its own account; errors are problem details"
    " (RFC 9457). Unknown parameters are refused.",
    # The document alone: every page that Litestar could render it with is loaded from somebody else's server. It has a
    # folder of its own, for Litestar answers whatever else is asked for in that folder, with a page of its own.
    path="/api/v1/openapi.json",
    render_plugins=[JsonRenderPlugin(path="/")],
    components=Components(security_schemes={"apiKey": SecurityScheme(type="http", scheme="bearer")}),
    use_handler_docstrings=True,
)
