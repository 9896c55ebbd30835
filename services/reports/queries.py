"""SELECTs with names. Each is told the account, the days and the filters as one, so that none can forget a part.

Figures are sums over a rollup: the daily one, or the cells where it has not what is asked for. Ratings are read where
one of them is shown, by an index.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, Self

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute

from services.reports.days import Days
from services.reports.rollup import COUNTS
from services.reports.satisfaction import SCORES, Scores
from services.reports.tables import CsatCell, CsatDaily, Rating
from shared.contracts.ticket import Priority

Attribution = Literal["credited", "assignee", "last_replier"]
"""Whose a ticket is: its assignee's and else of who replied last; its assignee's alone; of who replied last alone."""

Dimension = Literal["priority", "channel"]

_AGENTS = {"credited": "agent", "assignee": "assignee", "last_replier": "last_replier"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about: an account, a range of its days, and all of its tickets or those that fit."""

    account_id: str
    days: Days
    agent_id: str | None = None
    priorities: tuple[Priority, ...] = ()
    """Any of them; none stands for all."""
    channels: tuple[str, ...] = ()
    attribution: Attribution = "credited"
    compared_with: Days | None = None
    """The days before; None for as many, right before."""

    @property
    def before(self) -> Self:
        """The same of the days before."""
        return replace(self, days=self.compared_with or self.days.before, compared_with=None)

    @property
    def rollup(self) -> type[CsatDaily] | type[CsatCell]:
        """The smallest rollup that knows enough."""
        return CsatCell if self.priorities or self.channels or self.attribution != "credited" else CsatDaily

    def agent_in(self, table: type[Rating] | type[CsatDaily] | type[CsatCell]) -> InstrumentedAttribute:
        """The column that says whose a ticket is."""
        return getattr(table, f"{_AGENTS[self.attribution]}_id")

    @property
    def agent_name(self) -> InstrumentedAttribute:
        """The column with the name of whose a ticket is."""
        return getattr(Rating, f"{_AGENTS[self.attribution]}_name")

    def covers(
        self, table: type[Rating] | type[CsatDaily] | type[CsatCell], day: InstrumentedAttribute
    ) -> ColumnElement[bool]:
        """Match the table's rows that fit, of those whose `day` is in the range."""
        conditions = [table.account_id == self.account_id, day >= self.days.start, day < self.days.end]
        if self.agent_id is not None:
            conditions.append(self.agent_in(table) == self.agent_id)
        if not issubclass(table, CsatDaily):
            if self.priorities:
                conditions.append(table.priority.in_(self.priorities))
            if self.channels:
                conditions.append(table.channel.in_(self.channels))
        return and_(*conditions)

    @property
    def answered(self) -> ColumnElement[bool]:
        """Match the responses given in the range."""
        return and_(self.covers(Rating, Rating.submitted_day), Rating.submitted_at.is_not(None))


@dataclass(frozen=True, slots=True)
class Search:
    """Which responses to list, of those that a report is about."""

    scores: tuple[int, ...] = ()
    """Any of them; none stands for all."""
    reason: str | None = None
    commented: bool = False
    text: str = ""
    """In the comment, the subject or the requester's name; upper and lower case are one."""

    @property
    def finds(self) -> ColumnElement[bool]:
        """Match those responses."""
        conditions: list[ColumnElement[bool]] = []
        if self.scores:
            conditions.append(Rating.score.in_(self.scores))
        if self.reason is not None:
            conditions.append(Rating.reason == self.reason)
        if self.commented:
            conditions.append(Rating.comment != "")
        if self.text:
            found = (Rating.comment, Rating.subject, Rating.requester_name)
            conditions.append(or_(*(column.icontains(self.text, autoescape=True) for column in found)))
        return and_(true(), *conditions)


@cache
def _sums(counts: tuple[str, ...]) -> list[ColumnElement[int]]:
    """Name sums of a rollup's counts; as text, for over seventeen SQLAlchemy takes longer than PostgreSQL does."""
    return [literal_column(f"coalesce(sum({count}), 0)", Integer).label(count) for count in counts]


_SCORES = tuple(f"score_{score}" for score in SCORES)
NEWEST_FIRST = (Rating.submitted_day.desc(), Rating.submitted_at.desc(), Rating.survey_id.desc())


def scores_of(row: Row) -> Scores:
    """Read the five counts at the end of a row."""
    return Scores(tuple(row[-5:]))


def totals(asked: Asked) -> Select:
    """Add up every count of the rollup: one row."""
    table = asked.rollup
    return select(*_sums(COUNTS)).where(asked.covers(table, table.day))


def totals_by(dimension: Dimension, asked: Asked) -> Select:
    """Add up every count for each priority or channel; it comes first, null for skipped surveys that lack it."""
    by = getattr(CsatCell, dimension)
    return select(by, *_sums(COUNTS)).where(asked.covers(CsatCell, CsatCell.day)).group_by(by)


def scores_by_day(asked: Asked) -> Select:
    """Count each score on each day that has surveys or responses."""
    table = asked.rollup
    return select(table.day, *_sums(_SCORES)).where(asked.covers(table, table.day)).group_by(table.day)


def scores_by_agent(asked: Asked) -> Select:
    """Count each score of each agent with a response, by the newest name there; id and name are None for nobody."""
    table = asked.rollup
    agent = asked.agent_in(table).label("agent_id")
    rated = select(agent, *_sums(_SCORES)).where(asked.covers(table, table.day)).group_by(agent).cte("rated")
    its, name = asked.agent_in(Rating), asked.agent_name.label("name")
    if asked.attribution == "credited":
        # An index has each agent's newest response.
        found = select(name).where(asked.answered, its == rated.c.agent_id).order_by(*NEWEST_FIRST).limit(1)
        newest, joined = found.lateral("newest"), true()
    else:
        # Without one, to look for each agent would be to read the range as often as there are agents.
        found = select(its.label("id"), name).where(asked.answered, its.is_not(None)).order_by(its, *NEWEST_FIRST)
        newest = found.ext(distinct_on(its)).subquery("newest")
        joined = newest.c.id == rated.c.agent_id
    counts = [rated.c[name] for name in _SCORES]
    return (
        select(rated.c.agent_id, newest.c.name, *counts)
        .select_from(rated.outerjoin(newest, joined))
        .where(sum(counts[1:], start=counts[0]) > 0)
    )


def reasons(asked: Asked) -> Select:
    """Count the responses that gave each reason, most frequent first."""
    count = func.count()
    return (
        select(Rating.reason, count)
        .where(asked.covers(Rating, Rating.submitted_day), Rating.reason.is_not(None))  # read in the index alone
        .group_by(Rating.reason)
        .order_by(count.desc(), Rating.reason)
    )


def responses(asked: Asked, limit: int, *, after: Rating | None = None, search: Search = Search()) -> Select[Rating]:
    """List responses, newest first, those behind `after` in that order."""
    place = tuple_(Rating.submitted_day, Rating.submitted_at, Rating.survey_id)
    found = select(Rating).where(asked.answered, search.finds)
    if after is not None:
        found = found.where(place < tuple_(after.submitted_day, after.submitted_at, after.survey_id))
    return found.order_by(*NEWEST_FIRST).limit(limit)


def response(asked: Asked, survey_id: str) -> Select[Rating]:
    """Find a response of the account, and of the agent if one is asked for, whatever its day."""
    found = select(Rating).where(
        Rating.account_id == asked.account_id, Rating.survey_id == survey_id, Rating.submitted_at.is_not(None)
    )
    return found if asked.agent_id is None else found.where(asked.agent_in(Rating) == asked.agent_id)


def name_of_agent(asked: Asked) -> Select[str | None]:
    """Find the name the agent had when they were last rated."""
    return (
        select(asked.agent_name)
        .where(
            Rating.account_id == asked.account_id,
            asked.agent_in(Rating) == asked.agent_id,
            Rating.submitted_at.is_not(None),
        )
        .order_by(*NEWEST_FIRST)
        .limit(1)
    )


def has_surveys(account_id: str) -> Select[bool]:
    """Tell whether the account ever asked anybody."""
    return select(exists().where(Rating.account_id == account_id))
