"""The API: `/api/v1/csat/…`, read only, one account's figures for the key or token that is brought.

No address holds an account: a key opens its own account and there is no way to name another.
"""

from collections.abc import AsyncIterator, Callable
from datetime import date
from functools import cache
from typing import Annotated, Literal, TypeVar

from litestar import Request, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Example, SecurityScheme
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, Stream
from msgspec import Meta, Struct
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import examples, export, figures, queries
from services.reports.answers import (
    AgentFigures,
    Agents,
    Channels,
    Covered,
    Distribution,
    Figures,
    Period,
    Priorities,
    Problem,
    Reasons,
    Response,
    Responses,
    Summary,
    Trend,
)
from services.reports.api_keys import Access, Scope, let_in
from services.reports.days import Granularity, Preset, WrongDays, days_between, preset_days
from services.reports.freshness import Validated
from services.reports.live import tell_changes
from services.reports.problems import wrong_parameter
from services.reports.queries import Asked, Attribution, Search
from services.reports.tables import Account
from shared.chassis.requests import ENDLESS
from shared.chassis.tenancy import session_of
from shared.contracts.event import MAX_ID_LENGTH
from shared.contracts.ticket import Priority
from shared.public_pages.api_keys import brought_key, opens_nothing

VERSION = "1.0.0"
REALM = "closeloop reports"

REPEATABLE = {"priority", "channel", "score"}
MAX_CHANNELS = 20
MAX_TEXT_LENGTH = 100

T = TypeVar("T")
RESPONSES: dict[str, Scope] = {"scope": "responses"}
"""The option of routes that a key needs this scope for; the others need `figures`."""

NOT_MODIFIED = ResponseSpec(None, description="The client has it already: `If-None-Match` names its `ETag`")

Name = Annotated[str, Meta(min_length=1, max_length=MAX_ID_LENGTH)]
Score = Literal[1, 2, 3, 4, 5]


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        Problem, description=description, media_type="application/problem+json", generate_examples=False
    )


PROBLEMS: dict[int, ResponseSpec] = {
    400: _problem("A parameter is wrong"),
    401: _problem("No key, or one that opens nothing"),
    403: _problem("The key does not open this, or not this agent's"),
    429: _problem("Too many requests with this key, too many keys that open nothing, or exports; see Retry-After"),
    503: _problem("The database, or the keys to check tokens with, cannot be reached; see Retry-After"),
}


def _answers(example: Struct) -> dict[int, ResponseSpec]:
    """Describe the answers of an operation, the success by an example."""
    success = ResponseSpec(
        type(example),
        description="As asked for",
        examples=[Example(value=example)],
        generate_examples=False,
    )
    return {200: success, **PROBLEMS}


def _figures(example: Struct) -> dict[int, ResponseSpec]:
    return {**_answers(example), 304: NOT_MODIFIED}


async def access_of_key(request: Request, state: State) -> Access:
    """Let in who brings a key or a token that opens what is asked for.

    Raises TooMany (429), KeysAway (503), NotAuthorizedException (401) and PermissionDeniedException (403); the last two
    say what is missing (RFC 6750, section 3).
    """
    access = await let_in(brought_key(request, REALM), request, state)
    if access is None:
        raise opens_nothing(REALM)
    scope: Scope = request.route_handler.opt.get("scope", "figures")
    if scope not in access.scopes:
        raise PermissionDeniedException(
            f"This key does not open {scope}.",
            headers={"WWW-Authenticate": f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'},
        )
    return access


def account_of(access: NamedDependency[Access]) -> Account:
    """Give whose figures are shown."""
    return access.account


async def session_of_account(account: NamedDependency[Account], state: State) -> AsyncIterator[AsyncSession]:
    """Give a route its session, which sees the account's rows and no others."""
    async with session_of(account.account_id, state.sessions) as session:
        yield session


def asked_for(
    request: Request,
    state: State,
    access: NamedDependency[Access],
    *,
    from_: Annotated[
        date | None,
        QueryParameter(name="from", description="First day; without it, 30 days before `to`."),
    ] = None,
    to: Annotated[
        date | None,
        QueryParameter(description="The day after the last one; without it, tomorrow, so that today is in."),
    ] = None,
    preset: Annotated[
        Preset | None,
        QueryParameter(
            description="A range with a name, in the place of `from` and `to`. Those of so many days, and this week,"
            " month, quarter and year, end with today."
        ),
    ] = None,
    agent: Annotated[
        str | None,
        QueryParameter(description="Id of an agent; without it, all.", min_length=1, max_length=MAX_ID_LENGTH),
    ] = None,
    priority: Annotated[
        list[Priority] | None, QueryParameter(description="Any of these; without it, all. May be repeated.")
    ] = None,
    channel: Annotated[
        list[Name] | None,
        QueryParameter(description="Any of these; without it, all. May be repeated.", max_items=MAX_CHANNELS),
    ] = None,
    attribution: Annotated[
        Attribution,
        QueryParameter(
            description="Whose a ticket is, as it was at the resolution: `credited` its assignee's and else of who"
            " replied last, `assignee` its assignee's alone, `last_replier` of who replied last alone."
        ),
    ] = "credited",
) -> Asked:
    """Understand what every report takes, and keep to the agent of the key if it is limited to one.

    Raises ValidationException (400) and PermissionDeniedException (403).
    """
    _refuse_unknown_parameters(request)
    account = access.account
    for name, values in {"agent": [agent or ""], "channel": channel or []}.items():
        if not all(value.isprintable() for value in values):
            raise wrong_parameter(name, "has unprintable characters")
    if preset and (from_ or to):
        raise wrong_parameter("preset", "goes without `from` and `to`")
    if access.agent_id is not None and agent not in {None, access.agent_id}:
        raise PermissionDeniedException("This key shows one agent, and not this one.")
    today, compared_with = state.clock().astimezone(account.zone).date(), None
    if preset:
        days, compared_with = preset_days(preset, today)
    else:
        try:
            days = days_between(from_, to, today=today)
        except WrongDays as wrong:
            raise wrong_parameter({"start": "from", "end": "to"}[wrong.end], str(wrong)) from None
    return Asked(
        account.account_id,
        days,
        access.agent_id or agent,
        _once(priority),
        _once(channel),
        attribution,
        compared_with=compared_with,
    )


def search_for(
    *,
    score: Annotated[
        list[Score] | None, QueryParameter(description="Any of these; without it, all. May be repeated.")
    ] = None,
    reason: Annotated[
        str | None,
        QueryParameter(description="Code of what was picked with a low score.", min_length=1, max_length=MAX_ID_LENGTH),
    ] = None,
    commented: Annotated[bool, QueryParameter(description="Only those with a comment.")] = False,
    q: Annotated[
        str | None,
        QueryParameter(
            description="Text in the comment, the subject or the requester's name; upper and lower case are one.",
            min_length=1,
            max_length=MAX_TEXT_LENGTH,
        ),
    ] = None,
) -> Search:
    """Understand which responses to list. Raises ValidationException (400)."""
    for name, value in (("reason", reason), ("q", q)):
        if value is not None and not value.isprintable():
            raise wrong_parameter(name, "has unprintable characters")
    return Search(_once(score), reason, commented, q or "")


def _once(values: list[T] | None) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values or ()))


@cache  # it takes half a millisecond
def _parameters_of(route: HTTPRouteHandler) -> frozenset[str]:
    return frozenset(parameter.field_alias for parameter in route.create_kwargs_model({}).expected_query_params)


def _refuse_unknown_parameters(request: Request) -> None:
    """Refuse what would be ignored: a mistyped filter must not look like an answer for all."""
    known = _parameters_of(request.route_handler)
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise wrong_parameter(name[:50], f"is unknown; there are {', '.join(sorted(known))}")
        if name not in REPEATABLE and given.count(name) > 1:
            raise wrong_parameter(name, "is given twice")


@get("/summary", responses=_figures(examples.SUMMARY))
async def show_summary(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Summary:
    """Average, CSAT, response rate, what became of the surveys, and how that differs from the days before."""
    totals = await figures.totals(asked, session)
    return Summary.of(Covered.by(asked, account), totals, await figures.comparison(asked, totals, session))


@get("/distribution", responses=_figures(examples.DISTRIBUTION))
async def show_distribution(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Distribution:
    """How often each score was given."""
    return Distribution.of(Covered.by(asked, account), (await figures.totals(asked, session)).scores)


@get("/agents", responses=_figures(examples.AGENTS))
async def show_agents(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Agents:
    """Each agent's figures, best first."""
    agents = await figures.agents(asked, session)
    return Agents(
        Covered.by(asked, account),
        [AgentFigures(agent.agent_id, agent.name, Figures.of(agent.scores), agent.rank) for agent in agents],
    )


@get("/priorities", responses=_figures(examples.PRIORITIES))
async def show_priorities(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Priorities:
    """The figures of each priority."""
    return Priorities.of(Covered.by(asked, account), await figures.totals_by("priority", asked, session))


@get("/channels", responses=_figures(examples.CHANNELS))
async def show_channels(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Channels:
    """The figures of each channel."""
    return Channels.of(Covered.by(asked, account), await figures.totals_by("channel", asked, session))


@get("/reasons", responses=_figures(examples.REASONS))
async def show_reasons(
    asked: NamedDependency[Asked], account: NamedDependency[Account], session: NamedDependency[AsyncSession]
) -> Reasons:
    """How often each reason for a low score was given."""
    return Reasons.of(Covered.by(asked, account), await figures.reasons(asked, session))


@get("/trend", responses=_figures(examples.TREND))
async def show_trend(
    asked: NamedDependency[Asked],
    account: NamedDependency[Account],
    session: NamedDependency[AsyncSession],
    granularity: Annotated[Granularity, QueryParameter(description="Weeks start on Monday.")] = "day",
) -> Trend:
    """The figures over time, periods without responses included."""
    periods = await figures.trend(asked, granularity, session)
    return Trend(Covered.by(asked, account), granularity, [Period.of(days, scores) for days, scores in periods])


@get("/responses", opt=RESPONSES, responses=_answers(examples.RESPONSES))
async def list_responses(
    *,
    asked: NamedDependency[Asked],
    search: NamedDependency[Search],
    account: NamedDependency[Account],
    session: NamedDependency[AsyncSession],
    state: State,
    cursor: Annotated[
        str | None,
        QueryParameter(
            description="`next` of the page before. Keep the days and filters as they were.",
            max_length=MAX_ID_LENGTH,
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Responses on a page.")] = 25,
) -> Responses:
    """Each response with its comment, newest first."""
    after = None
    if cursor is not None:
        after = await session.scalar(queries.response(asked, cursor)) if cursor.isprintable() else None
        if after is None:
            raise wrong_parameter("cursor", "belongs to no page of ours")
    found = (await session.scalars(queries.responses(asked, limit + 1, after=after, search=search))).all()
    page = found[:limit]
    return Responses(
        Covered.by(asked, account),
        [Response.of(rating, state.service.settings.ticket_url) for rating in page],
        page[-1].survey_id if len(found) > limit else None,
    )


def _file(kind: export.Kind, content: str) -> dict[int, ResponseSpec]:
    success = ResponseSpec(
        str, description="A file", media_type=export.MEDIA_TYPES[kind], examples=[Example(value=content)]
    )
    return {200: success, **PROBLEMS}


async def exported(
    kind: export.Kind, asked: Asked, search: Search, state: State, begin: Callable[[], export.Writer]
) -> Stream:
    """Answer with a file of the responses that fit. Raises TooManyRequestsException (429)."""
    # The session is the export's own: the route's would be closed before the first piece is sent.
    session = session_of(asked.account_id, state.sessions)
    pieces = await state.exports.start(export.pieces(asked, search, session, begin))
    headers = {
        "Content-Disposition": f'attachment; filename="{export.name_of_file(asked, kind)}"',
    }
    return Stream(pieces, media_type=export.MEDIA_TYPES[kind], headers=headers)


@get("/responses.csv", opt=RESPONSES, media_type="text/csv", responses=_file("csv", examples.CSV))
async def export_csv(
    asked: NamedDependency[Asked],
    search: NamedDependency[Search],
    state: State,
    excel: Annotated[
        bool, QueryParameter(description="Begin with a byte order mark, without which Excel reads no UTF-8.")
    ] = False,
) -> Stream:
    """All responses that fit, newest first, as CSV (RFC 4180, UTF-8).

    An apostrophe is put before a text that a spreadsheet would take for a formula.
    """
    tickets_at = state.service.settings.ticket_url
    return await exported("csv", asked, search, state, lambda: export.CsvWriter(tickets_at, excel=excel))


@get(
    "/responses.parquet",
    opt=RESPONSES,
    media_type=export.MEDIA_TYPES["parquet"],
    responses=_file("parquet", "PAR1…"),
)
async def export_parquet(asked: NamedDependency[Asked], search: NamedDependency[Search], state: State) -> Stream:
    """All responses that fit, newest first, as Apache Parquet with typed columns; texts are as they were written."""
    tickets_at = state.service.settings.ticket_url
    return await exported("parquet", asked, search, state, lambda: export.ParquetWriter(tickets_at))


@get(
    "/live",
    opt={ENDLESS: True},
    media_type="text/event-stream",
    responses={
        200: ResponseSpec(
            str,
            description="Events as they happen",
            media_type="text/event-stream",
            examples=[Example(value="id: 1\r\nevent: changed\r\ndata: 1\r\n\r\n")],
        ),
        503: _problem("Too many readers, or nobody who tells; see Retry-After"),
        **{status: PROBLEMS[status] for status in (400, 401, 403, 429)},
    },
)
async def tell_of_changes(request: Request, account: NamedDependency[Account], state: State) -> ServerSentEvent:
    """Server-sent events: `changed` at once, and whenever a figure of the account has changed.

    The event holds no figure: ask for what you show. After a quarter of an hour, and when the connection is lost, come
    again; any client of server-sent events does so by itself.
    """
    _refuse_unknown_parameters(request)
    return tell_changes(account, state.live)


api = Router(
    "/api/v1/csat",
    route_handlers=[
        Router(
            "/",
            route_handlers=[
                show_summary,
                show_distribution,
                show_agents,
                show_priorities,
                show_channels,
                show_reasons,
                show_trend,
            ],
            response_class=Validated,
        ),
        list_responses,
        export_csv,
        export_parquet,
        tell_of_changes,
    ],
    dependencies={
        "access": Provide(access_of_key),
        "account": Provide(account_of, sync_to_thread=False),
        "session": Provide(session_of_account),
        "asked": Provide(asked_for, sync_to_thread=False),
        "search": Provide(search_for, sync_to_thread=False),
    },
    include_in_schema=True,
    security=[{"apiKey": []}, {"token": []}],
)

openapi = OpenAPIConfig(
    title="closeloop reports",
    version=VERSION,
    description="How satisfied an account's requesters are. A key shows its own account, and may be limited to figures,"
    " to responses, or to one agent. Errors are problem details (RFC 9457). Unknown parameters are refused.",
    # The document alone: every page that Litestar could render it with is loaded from somebody else's server. It has a
    # folder of its own, for Litestar answers whatever else is asked for in that folder, with a page of its own.
    path="/api/v1/openapi.json",
    render_plugins=[JsonRenderPlugin(path="/")],
    components=Components(
        security_schemes={
            "apiKey": SecurityScheme(type="http", scheme="bearer", description="A key that an operator made."),
            "token": SecurityScheme(
                type="http",
                scheme="bearer",
                bearer_format="JWT",
                description="A token of the identity provider that the operator named. Claims: `exp`, `iss`, `aud`,"
                " `sub`, `account`, `scope` (`figures`, `responses` or both) and, to show one agent alone, `agent`.",
            ),
        }
    ),
    use_handler_docstrings=True,
)
