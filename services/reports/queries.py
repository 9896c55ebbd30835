"""SELECTs with names. Each is told the account, the days and the agent as one, so that none can forget a part.

Figures are sums over the daily rollup. Ratings are read where one of them is shown, by an index.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from services.reports.days import Days
from services.reports.rollup import COUNTS
from services.reports.satisfaction import SCORES, Scores
from services.reports.tables import CsatDaily, Rating


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about: an account, a range of its days, and one agent or all."""

    account_id: str
    days: Days
    agent_id: str | None = None

    def covers(self, table: type[Rating] | type[CsatDaily], day: InstrumentedAttribute) -> ColumnElement[bool]:
        """Match the table's rows whose `day` is in the range."""
        conditions = [table.account_id == self.account_id, day >= self.days.start, day < self.days.end]
        if self.agent_id is not None:
            conditions.append(table.agent_id == self.agent_id)
        return and_(*conditions)

    @property
    def counted(self) -> ColumnElement[bool]:
        """Match the rollup's rows of the range."""
        return self.covers(CsatDaily, CsatDaily.day)

    @property
    def answered(self) -> ColumnElement[bool]:
        """Match the responses given in the range."""
        return and_(self.covers(Rating, Rating.submitted_day), Rating.submitted_at.is_not(None))


def _sum(count: str) -> ColumnElement[int]:
    return func.coalesce(func.sum(getattr(CsatDaily, count)), 0).label(count)


_scores = [_sum(f"score_{score}") for score in SCORES]
_newest_first = (Rating.submitted_day.desc(), Rating.submitted_at.desc(), Rating.survey_id.desc())


def scores_of(row: Row) -> Scores:
    """Read the five counts at the end of a row."""
    return Scores(tuple(row[-5:]))


def totals(asked: Asked) -> Select:
    """Add up every count of the rollup: one row."""
    return select(*(_sum(count) for count in COUNTS)).where(asked.counted)


def scores_by_day(asked: Asked) -> Select:
    """Count each score on each day that has surveys or responses."""
    return select(CsatDaily.day, *_scores).where(asked.counted).group_by(CsatDaily.day)


def scores_by_agent(asked: Asked) -> Select:
    """Count each score of each agent with a response, by the newest name there; id and name are None for nobody."""
    rated = select(CsatDaily.agent_id, *_scores).where(asked.counted).group_by(CsatDaily.agent_id).cte("rated")
    newest = (
        select(Rating.agent_name)
        .where(asked.answered, Rating.agent_id == rated.c.agent_id)
        .order_by(*_newest_first)
        .limit(1)
        .lateral("newest")
    )
    counts = [rated.c[f"score_{score}"] for score in SCORES]
    return (
        select(rated.c.agent_id, newest.c.agent_name, *counts)
        .select_from(rated.outerjoin(newest, true()))
        .where(sum(counts[1:], start=counts[0]) > 0)
    )


def responses(asked: Asked, limit: int, *, after: Rating | None = None, commented: bool = False) -> Select[Rating]:
    """List responses, newest first, those behind `after` in that order; `commented` leaves out those without a word."""
    place = tuple_(Rating.submitted_day, Rating.submitted_at, Rating.survey_id)
    found = select(Rating).where(asked.answered)
    if after is not None:
        found = found.where(place < tuple_(after.submitted_day, after.submitted_at, after.survey_id))
    if commented:
        found = found.where(Rating.comment != "")
    return found.order_by(*_newest_first).limit(limit)


def name_of_agent(account_id: str, agent_id: str) -> Select[str | None]:
    """Find the name an agent had when they were last rated."""
    return (
        select(Rating.agent_name)
        .where(Rating.account_id == account_id, Rating.agent_id == agent_id, Rating.submitted_at.is_not(None))
        .order_by(*_newest_first)
        .limit(1)
    )


def has_surveys(account_id: str) -> Select[bool]:
    """Tell whether the account ever asked anybody."""
    return select(exists().where(Rating.account_id == account_id))
