"""From record to effect, once: a batch of records, one transaction, one effect for each event.

The promise of `Consumer.take`: when it returns, each record had its effect, is a repeat of one that had, or lies among
the dead letters; all of it is committed, so the caller may acknowledge. When it raises, the machinery failed, nothing
was committed, and the same records are to be taken again.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar
from typing import cast as typed

import msgspec
import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import ARRAY, Text, cast, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.chassis import inbox, telemetry, tracing
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions, is_outage
from shared.chassis.dead_letters import Awaits, DeadLetter, bury, exhume, refuse_too_many
from shared.chassis.envelope import Envelope, Record, Unreadable, read
from shared.contracts.event import Event

ATTEMPTS = 3
"""How often a record alone is tried before it goes to the dead letters."""

RETRY_SECONDS = 0.1

READ_AT_ONCE = 200
"""Records that are read before others have their turn: pages are served by the same loop, which reading has alone."""

E = TypeVar("E", bound=Event)
Handler = Callable[..., Awaitable[None]]
Amend = Callable[[AsyncSession, Sequence[Event]], Awaitable[Sequence[Event | None]]]
"""Tells, in the transaction of their effects, what is to be heard of each event; None for nothing at all."""

log = structlog.get_logger()


class Waiting(Protocol):
    """How records that awaited a key are run when it has come: `Consumers.run_waiting`."""

    async def __call__(self, session: AsyncSession, keys: Iterable[str]) -> None:
        """Run them inside `session`'s transaction."""
        ...


class Consumer(Generic[E]):
    """Takes one topic's records for one handler.

    `batched`: the handler takes a list of events.
    `limit`: how many records of the topic may die within 24 hours before it takes no more, see TooManyDeadLetters.
    `amend`: what the handler, or the dead letters, get of an event where that is not all of it.
    """

    def __init__(
        self,
        event_type: type[E],
        handler: Handler,
        *,
        batched: bool,
        sessions: Sessions,
        clock: Clock,
        provided: Mapping[str, Any],
        run_waiting: Waiting | None,
        limit: int,
        amend: Amend | None = None,
    ) -> None:
        self.event_type = event_type
        self.active_at = time.monotonic()
        """When this last began or finished something, in seconds of the monotonic clock."""
        self.trouble: str | None = None
        """Why the batch at hand waits; None when nothing keeps it."""
        self._limit = limit
        self._may_have_letters = True  # until we looked: an earlier process may have left some
        self._handler = handler
        self.batched = batched
        self._sessions = sessions
        self._clock = clock
        self._run_waiting = run_waiting
        self._amend = amend
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
        await self._take_in_order(sorted(records, key=lambda record: record.key or b""))

    async def _take_in_order(self, records: Sequence[Record]) -> None:
        self.active_at = time.monotonic()
        if len(records) == 1:
            await self.take_alone(records[0])
            return
        try:
            async with self._sessions.begin() as session:
                await self._take_together(session, records)
        except Exception as failure:
            if is_outage(failure):
                raise
        else:
            return
        # One of them is to blame. Halves find it, and alone, in a transaction of its own, it costs the others nothing.
        middle = len(records) // 2
        await self._take_in_order(records[:middle])
        await self._take_in_order(records[middle:])

    async def _take_together(self, session: AsyncSession, records: Sequence[Record]) -> None:
        readable, taken = [], []
        for number, record in enumerate(records, start=1):
            if number % READ_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                envelope = read(record, self.event_type)
            except Unreadable as unreadable:
                await self._bury(session, record, str(unreadable), attempts=1, unreadable=True)
            else:
                readable.append(envelope)
                taken.append(record)
        if readable:
            await self._apply(session, readable)
            await self._exhume(session, taken)

    async def take_alone(self, record: Record) -> None:
        """Give one record its effect, or bury it."""
        reason = ""
        attempt = 0
        unreadable = False
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._sessions.begin() as session:
                    await self._apply(session, [read(record, self.event_type)])
                    await self._exhume(session, [record])
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
        fresh = await inbox.enter(session, self.event_type.topic, envelopes)
        self.active_at = time.monotonic()
        repeats, news = [], []
        heard = await self._heard(session, [envelope.event for envelope in envelopes])
        for envelope, event in zip(envelopes, heard, strict=True):
            if envelope.name in fresh:
                fresh.discard(envelope.name)
                news.append((envelope, event))
            else:
                repeats.append(envelope)
        await self._handle(session, [(envelope.traceparent, event) for envelope, event in news if event is not None])
        self._count("applied", session, len(news))
        await self._drop(session, repeats)
        if self._run_waiting:
            await self._run_waiting(session, keys)

    async def _handle(self, session: AsyncSession, news: Sequence[tuple[str | None, Event]]) -> None:
        """Give events, each with the trace that it belongs to, to the handler."""
        now = self._clock()
        name, kind = f"process {self.event_type.topic}", SpanKind.CONSUMER
        about: dict[str, Any] = {"messaging__system": "kafka", "messaging__destination__name": self.event_type.topic}
        if self.batched and news:
            with tracing.spans(name, kind, parents=[parent for parent, _ in news if parent], **about):
                await self._handler([event for _, event in news], session, now, **self._provided)
        elif not self.batched:
            for parent, event in news:
                with tracing.span(name, kind, parent=parent, **about):
                    await self._handler(event, session, now, **self._provided)
                self.active_at = time.monotonic()  # a large batch on a busy machine takes its time, and hangs not

    async def _heard(self, session: AsyncSession, events: Sequence[Event]) -> Sequence[Event | None]:
        return await self._amend(session, events) if self._amend else events

    async def _kept(self, session: AsyncSession, record: Record) -> bytes | None:
        """Tell what the dead letters may keep of a readable record's value."""
        event = read(record, self.event_type).event
        (heard,) = await self._heard(session, [event])
        return record.value if heard is event else msgspec.json.encode(heard) if heard else None

    async def _drop(self, session: AsyncSession, repeats: Sequence[Envelope[E]]) -> None:
        """Count events that had their effect before, and warn of those that say something else under the same name."""
        contradictions = await inbox.contradictions(session, self.event_type.topic, repeats) if repeats else []
        self._count("repeated", session, len(repeats) - len(contradictions))
        for envelope in contradictions:
            self._count("contradicted", session)
            log.warning(
                "another event under a name that was used before is dropped",
                topic=self.event_type.topic,
                source=envelope.source,
                event_id=envelope.id,
            )

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
        if unreadable:
            value = None if self.event_type.confidential else record.value
        else:
            value = await self._kept(session, record)
        self._may_have_letters = True
        buried = await bury(session, record, reason, attempts=attempts, awaits=awaits, value=value)
        if buried and not awaits:
            await refuse_too_many(session, record.topic, self._limit)
        self._count("parked" if awaits else "dead", session)
        log.warning(
            "record parked" if awaits else "record buried",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )

    async def _exhume(self, session: AsyncSession, records: Sequence[Record]) -> None:
        """Remove the letters of records that were buried, came again, as after a crash, and now had their effect."""
        if self._may_have_letters:
            self._may_have_letters = await exhume(session, self.event_type.topic, records)

    def _count(self, outcome: str, session: AsyncSession, number: int = 1) -> None:
        if number:
            telemetry.count_when_committed(
                telemetry.EVENTS_TAKEN.labels(self.event_type.topic, outcome), session, number
            )

    async def run_letter(self, session: AsyncSession, letter: DeadLetter) -> None:
        """Give a dead letter its effect inside `session`'s transaction and remove it. Raises when it fails again."""
        # A mapped row has what a record has, which the type checker cannot see through its descriptors.
        await self._apply(session, [read(typed(Record, letter), self.event_type)])
        await session.execute(delete(DeadLetter).where(DeadLetter.id == letter.id))


async def _one_at_a_time(session: AsyncSession, keys: Iterable[str]) -> None:
    """Hold each key for this transaction against others that ask for the same, in the callers' sorted order."""
    if in_order := list(keys):
        key = func.unnest(cast(in_order, ARRAY(Text)))
        await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def _reason(failure: Exception) -> str:
    """Name a failure without the statement and parameters that SQLAlchemy appends: they may hold what people wrote."""
    cause = getattr(failure, "orig", None) or failure
    return f"{type(cause).__name__}: {str(cause).splitlines()[0] if str(cause) else ''}"
