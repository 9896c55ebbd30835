"""From rows to figures, for the API and the dashboard alike."""

from typing import cast

from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import queries
from services.reports.days import Days, Granularity
from services.reports.queries import Asked, scores_of
from services.reports.satisfaction import Agent, Scores, State, ranked


async def scores(asked: Asked, session: AsyncSession) -> Scores:
    """Count the scores given in the range."""
    return scores_of((await session.execute(queries.scores(asked))).one())


async def agents(asked: Asked, session: AsyncSession) -> list[Agent]:
    """Give every agent with a response in the range, in their order."""
    rows = await session.execute(queries.scores_by_agent(asked))
    return ranked(Agent(row[0], row[1], scores_of(row)) for row in rows)


async def trend(asked: Asked, granularity: Granularity, session: AsyncSession) -> list[tuple[Days, Scores]]:
    """Give the scores of every period in the range, without gaps."""
    by_day = {row[0]: scores_of(row) for row in await session.execute(queries.scores_by_day(asked))}
    return [
        (period, Scores.total(by_day[day] for day in period.each() if day in by_day))
        for period in asked.days.periods(granularity)
    ]


async def surveys(asked: Asked, session: AsyncSession) -> dict[State, int]:
    """Count the surveys created in the range, by state."""
    return {cast(State, row[0]): row[1] for row in await session.execute(queries.surveys_by_state(asked))}


async def skipped(asked: Asked, session: AsyncSession) -> dict[str, int]:
    """Count the resolutions in the range that led to no survey, by reason."""
    return {row[0]: row[1] for row in await session.execute(queries.skipped_by_reason(asked))}
