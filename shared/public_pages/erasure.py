"""Requesters who asked to be forgotten: who they are, by id alone, and what is left of events about them.

A service erases what it stores when it hears `requester.erased`, and remembers the id. Every event that comes later,
late or again, from the dead letters or a log that is read anew, is stripped of the person before a handler sees it. So
it does not matter which of the two comes first.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy import ColumnElement, Text, and_, any_, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import Json, Timestamp
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.outbox import OutboxMessage, emit
from shared.chassis.telemetry import count_when_committed
from shared.contracts import EVENTS, RequesterErased, RequesterForgotten
from shared.contracts.event import Event
from shared.contracts.requester import Service
from shared.contracts.survey import SurveyEvent
from shared.contracts.ticket import Ticket, TicketEvent

WORDS = frozenset({"description", "body", "body_html", "comment"})
"""Fields of events that hold what people wrote."""

ERASED = Counter("closeloop_requesters_erased_total", "Requests to erase a requester that were carried out.")

# Who takes events holds this together with others; who erases holds it alone: else what is being stored at that very
# moment would be missed. One for each schema, since a rebuild of reports is nobody's business but its own.
_TOGETHER = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.erasures', 0))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.erasures', 0))")

_BY_TOPIC = {event.topic: event for event in EVENTS}

log = structlog.get_logger()

Erase = Callable[[RequesterErased, AsyncSession], Awaitable[Mapping[str, int]]]
"""Erases what a service stores of a requester, in the session's transaction, and counts the rows by table."""


class ErasureColumns:
    """Columns of a service's `erasures` table: a request to erase somebody, and what became of it. Ids alone."""

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    requester_id: Mapped[str] = mapped_column(Text, primary_key=True)
    request_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    erased_at: Mapped[Timestamp]
    forgotten_at: Mapped[Timestamp]
    rows: Mapped[dict[str, int]] = mapped_column(Json(dict[str, int]))


class Erasures:
    """Who was erased, as `service` remembers in `table`."""

    def __init__(self, service: Service, table: type[ErasureColumns]) -> None:
        self._service: Service = service
        self._table = table

    async def amend(self, session: AsyncSession, events: Sequence[Event]) -> Sequence[Event | None]:
        """Strip events of who was erased; None for one that was for them alone. To be asked before their effects."""
        people = {person for event in events if (person := _person(event))}
        if not people:
            return events
        await session.execute(_TOGETHER)
        table = self._table
        known = await session.execute(
            select(table.account_id, table.requester_id, table.ticket_ids).where(
                # A list as one parameter: a batch has thousands, each of which would be put into the statement's text.
                table.account_id == any_(_texts(account_id for account_id, *_ in people)),
                or_(
                    table.requester_id == any_(_texts(requester_id for _, requester_id, _ in people if requester_id)),
                    table.ticket_ids.overlap([ticket_id for _, requester_id, ticket_id in people if not requester_id]),
                ),
            )
        )
        erased = [_Erased(*row) for row in known]
        if not erased:
            return events
        return [without_requester(event) if any(each.is_in(event) for each in erased) else event for event in events]

    async def carry_out(self, erased: RequesterErased, session: AsyncSession, now: datetime, erase: Erase) -> None:
        """Erase a requester, remember it, and say so. A request that comes again erases again and says nothing."""
        await session.execute(_ALONE)
        rows = dict(await erase(erased, session))
        person = _Erased(erased.account_id, erased.requester_id, erased.ticket_ids)
        rows |= {
            "dead_letters": await _strip_dead_letters(person, session),
            "outbox": await _strip_outbox(person, session),
        }
        request = {"account_id": erased.account_id, "requester_id": erased.requester_id}
        request["request_id"] = erased.request_id
        first = await session.scalar(
            insert(self._table)
            .values(
                **request,
                ticket_ids=list(erased.ticket_ids),
                erased_at=erased.erased_at,
                forgotten_at=now,
                rows=rows,
            )
            .on_conflict_do_nothing()
            .returning(self._table.request_id)
        )
        if first is None:
            return
        emit(session, RequesterForgotten(**request, service=self._service, rows=rows, forgotten_at=now))
        count_when_committed(ERASED, session)
        log.info("requester erased", request_id=erased.request_id, rows=sum(rows.values()))


def of_requester(table: Any, erased: RequesterErased, ticket_id: ColumnElement | Any) -> ColumnElement[bool]:
    """Match a table's rows about who is erased: by their id, or by ticket where a row is older than that column."""
    return and_(
        table.account_id == erased.account_id,
        or_(
            table.requester_id == erased.requester_id,
            and_(table.requester_id.is_(None), ticket_id.in_(erased.ticket_ids)),
        ),
    )


class _Erased:
    """Somebody who was erased, and how their events are recognised."""

    def __init__(self, account_id: str, requester_id: str, ticket_ids: Sequence[str]) -> None:
        self.account_id = account_id
        self.requester_id = requester_id
        self.ticket_ids = frozenset(ticket_ids)

    def is_in(self, event: Event) -> bool:
        """Tell whether an event is about them."""
        if (person := _person(event)) is None:
            return False
        account_id, requester_id, ticket_id = person
        if account_id != self.account_id:
            return False
        return requester_id == self.requester_id if requester_id else ticket_id in self.ticket_ids

    def may_be_in(self, key: bytes | None, value: bytes) -> bool:
        """Tell whether a value that is no event of its topic may be about them. Another account's never is."""
        of_account = (key or b"").startswith(f"{self.account_id}/".encode())
        try:
            said = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return of_account and self.requester_id.encode() in value
        of_account = of_account or (isinstance(said, dict) and said.get("account_id") == self.account_id)
        return of_account and _names(said, self.requester_id)


def _texts(values: Iterable[str]) -> ColumnElement[Sequence[str]]:
    return cast(sorted(set(values)), ARRAY(Text))


def _person(event: Event) -> tuple[str, str | None, str] | None:
    """Tell whom an event is about: account, requester where it says so, ticket."""
    if isinstance(event, TicketEvent):
        return event.account_id, event.ticket.requester.requester_id, event.ticket.ticket_id
    if isinstance(event, SurveyEvent):
        return event.account_id, event.survey.requester_id, event.survey.ticket_id
    return None


def without_requester(event: Event) -> Event | None:
    """Leave of an event what is no person's: ids, states, scores, times, agents. None for one that carries a link.

    That one was for the requester alone, and there is nobody to give it to.
    """
    names = {field.name for field in fields(event)}
    if "link" in names:
        return None
    emptied: dict[str, Any] = dict.fromkeys(names & WORDS, "")
    if "attachments" in names:
        emptied["attachments"] = ()
    if isinstance(event, TicketEvent):
        emptied["ticket"] = ticket_without_requester(event.ticket)
    elif isinstance(event, SurveyEvent):
        emptied["survey"] = replace(event.survey, subject="", requester_name="", requester_locale=None)
    return replace(event, **emptied)


def ticket_without_requester(ticket: Ticket) -> Ticket:
    """Leave of a ticket what is no person's."""
    nobody = replace(ticket.requester, name="", email=None, locale=None, erased=True)
    return replace(ticket, subject="", requester=nobody)


async def _strip_dead_letters(erased: _Erased, session: AsyncSession) -> int:
    """Strip letters about somebody, those that nobody can read included."""
    letters = await session.stream(
        select(DeadLetter.id, DeadLetter.topic, DeadLetter.key, DeadLetter.value, DeadLetter.reason).where(
            DeadLetter.value.is_not(None)
        )
    )
    found = []
    async for letter in letters:
        left = _left_of(letter.topic, letter.key, letter.value, erased)
        if left != letter.value:
            # A reason may quote what could not be stored; its first word names the kind of error.
            found.append({"id": letter.id, "value": left, "reason": letter.reason.split(":")[0]})
    if found:
        await session.execute(update(DeadLetter), found)
    return len(found)


async def _strip_outbox(erased: _Erased, session: AsyncSession) -> int:
    """Strip events about somebody that wait to be published. What is for them alone is not published any more."""
    waiting = await session.stream(
        select(OutboxMessage.id, OutboxMessage.topic, OutboxMessage.payload).where(
            func.starts_with(OutboxMessage.key, f"{erased.account_id}/")
        )
    )
    stripped, dropped = [], []
    async for row in waiting:
        left = _left_of(row.topic, None, row.payload, erased)
        if left is None:
            dropped.append(row.id)
        elif left != row.payload:
            stripped.append({"id": row.id, "payload": left})
    if stripped:
        await session.execute(update(OutboxMessage), stripped)
    if dropped:
        await session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(dropped)))
    return len(stripped) + len(dropped)


def _left_of(topic: str, key: bytes | None, value: bytes, erased: _Erased) -> bytes | None:
    """Tell what may stay of a record's value: all of it when it is about somebody else."""
    try:
        event = msgspec.json.decode(value, type=_BY_TOPIC[topic])
    except (KeyError, msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None if erased.may_be_in(key, value) else value
    if not erased.is_in(event):
        return value
    left = without_requester(event)
    return msgspec.json.encode(left) if left else None


def _names(value: Any, requester_id: str) -> bool:
    if isinstance(value, dict):
        return value.get("requester_id") == requester_id or any(_names(item, requester_id) for item in value.values())
    return isinstance(value, list) and any(_names(item, requester_id) for item in value)
