"""The API: `/api/v1/csat/…`, read only, one account's figures for the key or token that is brought.

No address holds an account: a key opens its own account and there is no way to name another.
"""

from typing import Annotated

from litestar import Request, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent

from services.reports import examples, figures, specification
from services.reports.answers import Covered, Distribution, Figures, Period, Summary, Trend
from services.reports.asked import Asked, Tenant
from services.reports.breakdowns import AgentFigures, Agents, Channels, Priorities, Reasons
from services.reports.days import Granularity
from services.reports.freshness import Validated
from services.reports.live import tell_changes
from services.reports.parameters import DEPENDENCIES, refuse_unknown_parameters
from services.reports.response_routes import export_csv, export_parquet, list_responses
from services.reports.specification import PROBLEMS
from shared.chassis.requests import ENDLESS


@get("/summary", responses=specification.figures(examples.SUMMARY))
async def show_summary(asked: NamedDependency[Asked], state: State) -> Summary:
    """Average, CSAT, response rate, what became of the surveys, and how that differs from the days before."""
    return Summary.of(Covered.by(asked), *await figures.totals(asked, state.pool))


@get("/distribution", responses=specification.figures(examples.DISTRIBUTION))
async def show_distribution(asked: NamedDependency[Asked], state: State) -> Distribution:
    """How often each score was given."""
    return Distribution.of(Covered.by(asked), await figures.scores(asked, state.pool))


@get("/agents", responses=specification.figures(examples.AGENTS))
async def show_agents(asked: NamedDependency[Asked], state: State) -> Agents:
    """Each agent's figures, best first."""
    agents = await figures.agents(asked, state.pool)
    return Agents(
        Covered.by(asked),
        [AgentFigures(agent.agent_id, agent.name, Figures.of(agent.scores), agent.rank) for agent in agents],
    )


@get("/priorities", responses=specification.figures(examples.PRIORITIES))
async def show_priorities(asked: NamedDependency[Asked], state: State) -> Priorities:
    """The figures of each priority."""
    return Priorities.of(Covered.by(asked), await figures.parts("priority", asked, state.pool))


@get("/channels", responses=specification.figures(examples.CHANNELS))
async def show_channels(asked: NamedDependency[Asked], state: State) -> Channels:
    """The figures of each channel."""
    return Channels.of(Covered.by(asked), await figures.parts("channel", asked, state.pool))


@get("/reasons", responses=specification.figures(examples.REASONS))
async def show_reasons(asked: NamedDependency[Asked], state: State) -> Reasons:
    """How often each reason for a low score was given."""
    return Reasons.of(Covered.by(asked), await figures.reasons(asked, state.pool))


@get("/trend", responses=specification.figures(examples.TREND))
async def show_trend(
    asked: NamedDependency[Asked],
    state: State,
    granularity: Annotated[Granularity, QueryParameter(description="Weeks start on Monday.")] = "day",
) -> Trend:
    """The figures over time, periods without responses included."""
    periods = await figures.trend(asked, granularity, state.pool)
    return Trend(Covered.by(asked), granularity, [Period.of(days, scores) for days, scores in periods])


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
        503: specification.problem("Too many readers, or nobody who tells; see Retry-After"),
        **{status: PROBLEMS[status] for status in (400, 401, 403, 429)},
    },
)
async def tell_of_changes(request: Request, account: NamedDependency[Tenant], state: State) -> ServerSentEvent:
    """Server-sent events: `changed` at once, and whenever a figure of the account has changed.

    The event holds no figure: ask for what you show. After a quarter of an hour, and when the connection is lost, come
    again; any client of server-sent events does so by itself.
    """
    refuse_unknown_parameters(request)
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
    dependencies=DEPENDENCIES,
    include_in_schema=True,
    security=[{"apiKey": []}, {"token": []}],
)
