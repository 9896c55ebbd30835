"""From rows to figures, for the API and the dashboard alike."""

from dataclasses import dataclass
from typing import get_args

from msgspec import Struct

from services.reports import queries
from services.reports.asked import Asked
from services.reports.days import Days, Granularity
from services.reports.queries import Dimension, scores_of
from services.reports.satisfaction import (
    SCORES,
    Agent,
    Difference,
    Reason,
    Scores,
    Share,
    State,
    difference_of_averages,
    difference_of_rates,
    difference_of_shares,
    ranked,
    response_rate,
)
from shared.chassis.prepared import Pool, Row

PRIORITIES = ("urgent", "high", "normal", "low")


@dataclass(frozen=True, slots=True)
class Totals:
    """What a range comes to: the scores given in it, the surveys created in it, and those that were not."""

    scores: Scores
    surveys: dict[State, int]
    skipped: dict[Reason, int]

    @classmethod
    def of(cls, counts: Row) -> "Totals":
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
            difference_of_rates(now.surveys, before.surveys),
        )


class Part(Struct, frozen=True):
    """What one priority or channel comes to."""

    name: str
    scores: Scores
    response_rate: Share


async def totals(asked: Asked, pool: Pool) -> tuple[Totals, Comparison]:
    """Add up the range, and compare what it comes to with the days before."""
    now, before = (Totals.of(row) for row in await queries.totals(asked, pool))
    return now, Comparison.of(now, before, asked.before)


async def scores(asked: Asked, pool: Pool) -> Scores:
    """Count each score in the range."""
    return scores_of(await queries.scores(asked, pool))


async def parts(dimension: Dimension, asked: Asked, pool: Pool) -> list[Part]:
    """Give the figures of each priority, urgent first, or of each channel, the one with most responses first."""
    found = [
        Part(
            row[0],
            scores_of(row),
            response_rate({"submitted": row.submitted, "pending": row.pending, "expired": row.expired}),
        )
        for row in await queries.parts(dimension, asked, pool)
        if row[0] is not None
    ]
    if dimension == "priority":
        return sorted(found, key=lambda part: PRIORITIES.index(part.name))
    return sorted(found, key=lambda part: (-part.scores.n, part.name))


async def reasons(asked: Asked, pool: Pool) -> list[tuple[str, int]]:
    """Count the responses that gave each reason, most frequent first."""
    return [(row.reason, row.responses) for row in await queries.reasons(asked, pool)]


async def agents(asked: Asked, pool: Pool) -> list[Agent]:
    """Give every agent with a response in the range, in their order; one who is asked for alone has no rank."""
    rows = await queries.scores_by_agent(asked, pool)
    found = [Agent(row.agent_id, row.name, scores_of(row)) for row in rows]
    return ranked(found) if asked.agent_id is None else found


async def trend(asked: Asked, granularity: Granularity, pool: Pool) -> list[tuple[Days, Scores]]:
    """Give the scores of every period in the range, without gaps."""
    by_day = {row.day: scores_of(row) for row in await queries.scores_by_day(asked, pool)}
    return [
        (period, Scores.total(by_day[day] for day in period.each() if day in by_day))
        for period in asked.days.periods(granularity)
    ]
