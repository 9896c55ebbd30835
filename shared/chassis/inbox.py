"""From record to effect, once: a batch of records, one transaction, one effect for each event.

The promise of `Consumer.take`: when it returns, each record had its effect, is a repeat of one that had, or lies among
the dead letters; all of it is committed, so the caller may acknowledge. When it raises, the machinery failed, nothing
was committed, and the same records are to be taken again.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

import structlog
from sqlalchemy import Index, Text, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis import telemetry
from shared.chassis.database import ChassisTable, Sessions, Timestamp, is_outage
from shared.chassis.dead_letters import Awaits, DeadLetter, bury
from shared.chassis.envelope import Envelope, Record, Unreadable, read
from shared.contracts.event import Event

ATTEMPTS = 3
"""How often a record alone is tried before it goes to the dead letters."""

RETRY_SECONDS = 0.1
INBOX_DAYS = 30
"""How long an event's repeat is recognised. Longer than any broker or relay holds on to an unacknowledged event."""

E = TypeVar("E", bound=Event)
Clock = Callable[[], datetime]
Handler = Callable[..., Awaitable[None]]

log = structlog.get_logger()


class InboxMessage(ChassisTable):
    """An event that had its effect."""

    __tablename__ = "inbox"
    __table_args__ = (Index("ix_inbox_received_at", "received_at"),)

    topic: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    received_at: Mapped[Timestamp] = mapped_column(server_default=func.now())


class Waiting(Protocol):
    """How records that awaited a key are run when it has come: `Consumers.run_waiting`."""

    async def __call__(self, session: AsyncSession, keys: Iterable[str]) -> None:
        """Run them inside `session`'s transaction."""
        ...


class Consumer(Generic[E]):
    """Takes one topic's records for one handler."""

    def __init__(
        self,
        event_type: type[E],
        handler: Handler,
        *,
        sessions: Sessions,
        clock: Clock,
        provided: Mapping[str, Any],
        run_waiting: Waiting | None,
    ) -> None:
        self.event_type = event_type
        self._handler = handler
        self._sessions = sessions
        self._clock = clock
        self._run_waiting = run_waiting
        wanted = [
            name
            for name, parameter in inspect.signature(handler).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        ]
        missing = [name for name in wanted if name not in provided]
        if missing:
            raise TypeError(f"{handler.__name__} wants {', '.join(missing)}, which nobody provides")
        self._provided = {name: provided[name] for name in wanted}

    async def take(self, records: Sequence[Record]) -> None:
        """Give each record its effect, all in one transaction; see the module for what holds when this returns."""
        # In order of key, so that two topics of one service lock the same tickets in the same order. Sorting is
        # stable: one key's records stay in theirs.
        in_key_order = sorted(records, key=lambda record: record.key or b"")
        try:
            async with self._sessions.begin() as session:
                await self._take_together(session, in_key_order)
        except Exception as failure:
            if is_outage(failure):
                raise
            # One of them is to blame. Alone, each gets its own transaction and the others do not suffer.
            for record in in_key_order:
                await self.take_alone(record)

    async def _take_together(self, session: AsyncSession, records: Sequence[Record]) -> None:
        readable = []
        for record in records:
            try:
                readable.append(read(record, self.event_type))
            except Unreadable as unreadable:
                await self._bury(session, record, str(unreadable), attempts=1, unreadable=True)
        if readable:
            await self._apply(session, readable)

    async def take_alone(self, record: Record) -> None:
        """Give one record its effect, or bury it."""
        reason = ""
        attempt = 0
        unreadable = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._sessions.begin() as session:
                    await self._apply(session, [read(record, self.event_type)])
            except Awaits as awaits:
                await self._park(record, awaits.key)
                return
            except Exception as failure:
                if is_outage(failure):
                    raise
                reason = _reason(failure)
                if unreadable := isinstance(failure, Unreadable):
                    break
                if attempt < ATTEMPTS:
                    await asyncio.sleep(RETRY_SECONDS * attempt)
            else:
                return
        async with self._sessions.begin() as session:
            await self._bury(session, record, reason, attempts=attempt, unreadable=unreadable)

    async def _apply(self, session: AsyncSession, envelopes: Sequence[Envelope[E]]) -> None:
        keys = sorted({envelope.event.key for envelope in envelopes}) if self._run_waiting else []
        await _one_at_a_time(session, keys)
        first_time = await session.execute(
            insert(InboxMessage)
            .values(
                [
                    {"topic": self.event_type.topic, "source": envelope.source, "event_id": envelope.id}
                    for envelope in envelopes
                ]
            )
            .on_conflict_do_nothing()
            .returning(InboxMessage.source, InboxMessage.event_id)
        )
        fresh = {(source, event_id) for source, event_id in first_time}
        now = self._clock()
        for envelope in envelopes:
            name = (envelope.source, envelope.id)
            if name in fresh:
                fresh.discard(name)
                await self._handler(envelope.event, session, now, **self._provided)
                self._count("applied", session)
            else:
                self._count("repeated", session)
        if self._run_waiting:
            await self._run_waiting(session, keys)

    async def _park(self, record: Record, key: str) -> None:
        """Keep a record until `key` arrives, unless it arrived just now: whoever holds the key's lock goes first."""
        async with self._sessions.begin() as session:
            await _one_at_a_time(session, [key])
            try:
                async with session.begin_nested():
                    await self._apply(session, [read(record, self.event_type)])
            except Awaits:
                await self._bury(session, record, f"waits for {key}", attempts=1, awaits=key)

    async def _bury(
        self,
        session: AsyncSession,
        record: Record,
        reason: str,
        *,
        attempts: int,
        awaits: str | None = None,
        unreadable: bool = False,
    ) -> None:
        with_value = not (unreadable and self.event_type.confidential)
        await bury(session, record, reason, attempts=attempts, awaits=awaits, with_value=with_value)
        self._count("parked" if awaits else "dead", session)
        log.warning(
            "record parked" if awaits else "record buried",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )

    def _count(self, outcome: str, session: AsyncSession) -> None:
        telemetry.count_when_committed(telemetry.EVENTS_TAKEN.labels(self.event_type.topic, outcome), session)

    async def run_letter(self, session: AsyncSession, letter: DeadLetter) -> None:
        """Give a dead letter its effect inside `session`'s transaction and remove it. Raises when it fails again."""
        # A mapped row has what a record has, which the type checker cannot see through its descriptors.
        await self._apply(session, [read(cast(Record, letter), self.event_type)])
        await session.execute(delete(DeadLetter).where(DeadLetter.id == letter.id))


async def _one_at_a_time(session: AsyncSession, keys: Iterable[str]) -> None:
    """Hold each key for this transaction against others that ask for the same, in the callers' sorted order."""
    for key in keys:
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


async def forget_old_messages(session: AsyncSession, now: datetime) -> None:
    """Drop inbox rows older than INBOX_DAYS."""
    await session.execute(delete(InboxMessage).where(InboxMessage.received_at < now - timedelta(days=INBOX_DAYS)))


def _reason(failure: Exception) -> str:
    """Name a failure without the statement and parameters that SQLAlchemy appends: they may hold what people wrote."""
    cause = getattr(failure, "orig", None) or failure
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else ''}"


def utc_now() -> datetime:
    """Read the clock. Called by composition roots only; everything else is given `now`."""
    return datetime.now(UTC)
