"""From rows to figures, for the API and the dashboard alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import queries
from services.reports.days import Days, Granularity
from services.reports.queries import Asked, Dimension, scores_of
from services.reports.satisfaction import (
    SCORES,
    Agent,
    Difference,
    Reason,
    Scores,
    Share,
    State,
    difference_of_averages,
    difference_of_shares,
    ranked,
    response_rate,
)

PRIORITIES = ("urgent", "high", "normal", "low")


@dataclass(frozen=True, slots=True)
class Totals:
    """What a range comes to: the scores given in it, the surveys created in it, and those that were not."""

    scores: Scores
    surveys: dict[State, int]
    skipped: dict[Reason, int]

    @classmethod
    def of(cls, counts: Mapping[Any, Any]) -> "Totals":
        """Read the counts of a rollup."""
        return cls(
            Scores(tuple(counts[f"score_{score}"] for score in SCORES)),
            {state: counts[state] for state in get_args(State)},
            {reason: counts[f"skipped_{reason}"] for reason in get_args(Reason)},
        )

    @property
    def response_rate(self) -> Share:
        """The share of the surveys that was ever answered."""
        return response_rate(self.surveys)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the days before came to, and how the range differs from them; None where there are too few to tell."""

    days: Days
    totals: Totals
    average: Difference | None
    csat: Difference | None
    response_rate: Difference | None

    @classmethod
    def of(cls, now: Totals, before: Totals, days: Days) -> "Comparison":
        """Compare two ranges; `days` are those of the earlier one."""
        return cls(
            days,
            before,
            difference_of_averages(now.scores, before.scores),
            difference_of_shares(now.scores.csat, before.scores.csat),
            difference_of_shares(now.response_rate, before.response_rate),
        )


async def totals(asked: Asked, session: AsyncSession) -> Totals:
    """Add up the range."""
    return Totals.of((await session.execute(queries.totals(asked))).one()._mapping)


async def comparison(asked: Asked, now: Totals, session: AsyncSession) -> Comparison:
    """Compare what the range comes to with the days before."""
    before = asked.before
    return Comparison.of(now, await totals(before, session), before.days)


async def totals_by(dimension: Dimension, asked: Asked, session: AsyncSession) -> list[tuple[str, Totals]]:
    """Add up the range for each priority, urgent first, or for each channel, the one with most responses first."""
    rows = (await session.execute(queries.totals_by(dimension, asked))).all()
    found = [(row[0], Totals.of(row._mapping)) for row in rows if row[0] is not None]
    if dimension == "priority":
        return sorted(found, key=lambda each: PRIORITIES.index(each[0]))
    return sorted(found, key=lambda each: (-each[1].scores.n, each[0]))


async def reasons(asked: Asked, session: AsyncSession) -> list[tuple[str, int]]:
    """Count the responses that gave each reason, most frequent first."""
    return [(row[0], row[1]) for row in await session.execute(queries.reasons(asked))]


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
