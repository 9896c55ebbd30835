"""SELECTs with names. Each is told the account, the days and the agent as one, so that none can forget a part."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import InstrumentedAttribute

from services.reports.days import Days
from services.reports.satisfaction import SCORES, Scores
from services.reports.tables import Rating, SkippedSurvey


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about: an account, a range of its days, and one agent or all."""

    account_id: str
    days: Days
    agent_id: str | None = None

    def covers(self, table: type[Rating] | type[SkippedSurvey], day: InstrumentedAttribute) -> ColumnElement[bool]:
        """Match the table's rows whose `day` is in the range."""
        conditions = [table.account_id == self.account_id, day >= self.days.start, day < self.days.end]
        if self.agent_id is not None:
            conditions.append(table.agent_id == self.agent_id)
        return and_(*conditions)

    @property
    def answered(self) -> ColumnElement[bool]:
        """Match the responses given in the range."""
        return and_(self.covers(Rating, Rating.submitted_day), Rating.submitted_at.is_not(None))


_counts = [func.count().filter(Rating.score == score) for score in SCORES]


def scores_of(row: Row) -> Scores:
    """Read the five counts at the end of a row."""
    return Scores(tuple(row[-5:]))


def scores(asked: Asked) -> Select:
    """Count each score: one row."""
    return select(*_counts).where(asked.answered)


def scores_by_day(asked: Asked) -> Select:
    """Count each score on each day that has a response."""
    return select(Rating.submitted_day, *_counts).where(asked.answered).group_by(Rating.submitted_day)


def scores_by_agent(asked: Asked) -> Select:
    """Count each score of each agent, by the newest name they have in the range; id and name are None for nobody."""
    newest_name = func.array_agg(aggregate_order_by(Rating.agent_name, Rating.submitted_at.desc()))[1]
    return select(Rating.agent_id, newest_name, *_counts).where(asked.answered).group_by(Rating.agent_id)


def surveys_by_state(asked: Asked) -> Select[str, int]:
    """Count the surveys created in the range in each state they are in by now."""
    return select(Rating.state, func.count()).where(asked.covers(Rating, Rating.created_day)).group_by(Rating.state)


def skipped_by_reason(asked: Asked) -> Select[str, int]:
    """Count the resolutions in the range that led to no survey, for each reason."""
    return (
        select(SkippedSurvey.reason, func.count())
        .where(asked.covers(SkippedSurvey, SkippedSurvey.skipped_day))
        .group_by(SkippedSurvey.reason)
    )


def responses(asked: Asked, limit: int, *, after: Rating | None = None, commented: bool = False) -> Select[Rating]:
    """List responses, newest first, those behind `after` in that order; `commented` leaves out those without a word."""
    place = tuple_(Rating.submitted_day, Rating.submitted_at, Rating.survey_id)
    found = select(Rating).where(asked.answered)
    if after is not None:
        found = found.where(place < tuple_(after.submitted_day, after.submitted_at, after.survey_id))
    if commented:
        found = found.where(Rating.comment != "")
    newest_first = (Rating.submitted_day.desc(), Rating.submitted_at.desc(), Rating.survey_id.desc())
    return found.order_by(*newest_first).limit(limit)


def name_of_agent(account_id: str, agent_id: str) -> Select[str | None]:
    """Find an agent's newest name."""
    return (
        select(Rating.agent_name)
        .where(Rating.account_id == account_id, Rating.agent_id == agent_id)
        .order_by(Rating.created_at.desc())
        .limit(1)
    )


def has_surveys(account_id: str) -> Select[bool]:
    """Tell whether the account ever asked anybody."""
    return select(exists().where(Rating.account_id == account_id))
