"""From rows to figures, for the API and the dashboard alike."""

from dataclasses import dataclass
from typing import get_args

from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import queries
from services.reports.days import Days, Granularity
from services.reports.queries import Asked, scores_of
from services.reports.satisfaction import SCORES, Agent, Reason, Scores, State, ranked


@dataclass(frozen=True, slots=True)
class Totals:
    """What a range comes to: the scores given in it, the surveys created in it, and those that were not."""

    scores: Scores
    surveys: dict[State, int]
    skipped: dict[Reason, int]


async def totals(asked: Asked, session: AsyncSession) -> Totals:
    """Add up the range."""
    counts = (await session.execute(queries.totals(asked))).one()._mapping
    return Totals(
        Scores(tuple(counts[f"score_{score}"] for score in SCORES)),
        {state: counts[state] for state in get_args(State)},
        {reason: counts[f"skipped_{reason}"] for reason in get_args(Reason)},
    )


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
