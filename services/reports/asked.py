"""What a report is about, and how that becomes a WHERE: as one, so that no statement can forget a part."""

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import ARRAY, ColumnElement, Date, Integer, Text, and_, bindparam, func, or_, true
from sqlalchemy.orm import InstrumentedAttribute

from services.reports.days import Days
from services.reports.rollup import KEYS
from services.reports.tables import CsatCell, CsatDaily, CsatKind, Rating
from shared.chassis.tenancy import WHOSE
from shared.contracts.ticket import Priority
from shared.public_pages.branding import Branded

Attribution = Literal["credited", "assignee", "last_replier"]
"""Whose a ticket is: its assignee's and else of who replied last; its assignee's alone; of who replied last alone."""

Rollup = type[CsatKind] | type[CsatDaily] | type[CsatCell]
_BY_SIZE: tuple[Rollup, ...] = (CsatKind, CsatDaily, CsatCell)
_AGENTS = {"credited": "agent", "assignee": "assignee", "last_replier": "last_replier"}


@dataclass(frozen=True, slots=True)
class Shape:
    """Which filters there are, whatever they let through."""

    agent: bool
    priorities: int
    """None, one, or two for several. The plan for any of several is so dear that PostgreSQL makes it anew each time."""
    channels: int
    attribution: Attribution

    @property
    def agent_id(self) -> str:
        """The column that says whose a ticket is."""
        return f"{_AGENTS[self.attribution]}_id"

    @property
    def agent_name(self) -> InstrumentedAttribute:
        """The column with the name of whose a ticket is."""
        return getattr(Rating, f"{_AGENTS[self.attribution]}_name")

    def rollup(self, *by: str) -> Rollup:
        """The smallest rollup that knows what is filtered by, and what is asked for `by`."""
        filters = {self.agent_id: self.agent, "priority": self.priorities, "channel": self.channels}
        needed = {*by, *(column for column, number in filters.items() if number)}
        return next(rollup for rollup in _BY_SIZE if needed <= set(KEYS[rollup.__tablename__]))

    def covers(
        self, table: Rollup | type[Rating], day: InstrumentedAttribute, *, before: bool = False
    ) -> ColumnElement[bool]:
        """Match the table's rows that fit, of those whose `day` is in the range, or in the one before."""
        start, end = ("before_start", "before_end") if before else ("start", "end")
        conditions = [
            table.account_id == WHOSE.c.told,
            day >= bindparam(start, type_=Date),
            day < bindparam(end, type_=Date),
        ]
        if self.agent:
            conditions.append(getattr(table, self.agent_id) == bindparam("agent_id", type_=Text))
        for name, number in (("priority", self.priorities), ("channel", self.channels)):
            if number:
                conditions.append(_is_wanted(getattr(table, name), name, Text, number))
        return and_(*conditions)

    @property
    def answered(self) -> ColumnElement[bool]:
        """Match the responses given in the range."""
        return and_(self.covers(Rating, Rating.submitted_day), Rating.submitted_at.is_not(None))


class Tenant(Struct, Branded, frozen=True):
    """What pages and answers tell of an account: it is found anew for every request, so no more than that."""

    account_id: str
    name: str
    colour: str
    time_zone: str
    logo_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about: an account, a range of its days, and all of its tickets or those that fit."""

    account: Tenant
    days: Days
    agent_id: str | None = None
    priorities: tuple[Priority, ...] = ()
    """Any of them; none stands for all."""
    channels: tuple[str, ...] = ()
    attribution: Attribution = "credited"
    compared_with: Days | None = None
    """The days before; None for as many, right before."""

    @property
    def before(self) -> Days:
        """The days to compare with."""
        return self.compared_with or self.days.before

    @property
    def shape(self) -> Shape:
        """Which filters there are."""
        return Shape(
            self.agent_id is not None, min(len(self.priorities), 2), min(len(self.channels), 2), self.attribution
        )

    @property
    def values(self) -> dict[str, Any]:
        """What the statements' values are."""
        before = self.before
        return {
            "account_id": self.account.account_id,
            "start": self.days.start,
            "end": self.days.end,
            "before_start": before.start,
            "before_end": before.end,
            "agent_id": self.agent_id,
            "priority": self.priorities[0] if len(self.priorities) == 1 else self.priorities,
            "channel": self.channels[0] if len(self.channels) == 1 else self.channels,
        }


SearchShape = tuple[int, bool, bool, bool]
"""How many scores, two for several; whether there is a reason, a comment, a text."""


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
    def shape(self) -> SearchShape:
        """Which of these are asked for."""
        return min(len(self.scores), 2), self.reason is not None, self.commented, bool(self.text)

    @property
    def values(self) -> dict[str, Any]:
        """What the statements' values are."""
        text = self.text.replace("/", "//").replace("%", "/%").replace("_", "/_")
        score = self.scores[0] if len(self.scores) == 1 else self.scores
        return {"score": score, "reason": self.reason, "text": f"%{text}%"}


def finds(scores: int, reason: bool, commented: bool, text: bool) -> ColumnElement[bool]:
    """Match the responses of a search."""
    conditions: list[ColumnElement[bool]] = []
    if scores:
        conditions.append(_is_wanted(Rating.score, "score", Integer, scores))
    if reason:
        conditions.append(Rating.reason == bindparam("reason", type_=Text))
    if commented:
        conditions.append(Rating.comment != "")
    if text:
        words = func.lower(bindparam("text", type_=Text))
        found = (Rating.comment, Rating.subject, Rating.requester_name)
        conditions.append(or_(*(func.lower(column).like(words, escape="/") for column in found)))
    return and_(true(), *conditions)


def _is_wanted(
    column: InstrumentedAttribute[Any], name: str, kind: type[Text | Integer], number: int
) -> ColumnElement[bool]:
    """Match the one value `name`, or any of several."""
    return column == (bindparam(name, type_=kind) if number == 1 else func.any(bindparam(name, type_=ARRAY(kind))))
