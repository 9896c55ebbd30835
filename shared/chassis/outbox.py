"""Say that something happened if and only if the transaction commits.

`emit` writes a row beside the state it speaks of. The relay publishes the oldest rows and then deletes them, in that
order, so an event may go out twice after a crash and is never lost; who hears it drops the repeat by its id.

Rows are deleted rather than passed by a cursor: a row that commits late has a lower id than the cursor and would be
skipped for ever. One relay at a time per database, by advisory lock: two would send one key's events out of order.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from uuid import UUID

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from opentelemetry.trace import SpanKind
from sqlalchemy import BigInteger, CheckConstraint, Identity, Row, Text, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis import envelope, telemetry, tracing
from shared.chassis.cluster import Cluster
from shared.chassis.database import ChassisTable, Timestamp
from shared.contracts.event import Event

BATCH = 500
POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
MAX_BATCH_BYTES = 256 * 1024
BATCH_BYTES = 230 * 1024
"""Of one topic's events in a round, as we reckon them; less than what fits into one of the producer's batches."""

_HEADER_BYTES = 500
REFUSED_SECONDS = 5.0
"""How long a topic that refused an event is held up before it is tried again."""

STOP_SECONDS = 3.0
ACKNOWLEDGEMENT_SECONDS = 60.0
"""An idempotent producer never gives up by itself; after this long, another one tries."""

_LOCK = 0x636C6F7365  # "close", any number that no other advisory lock of ours uses

log = structlog.get_logger()


class OutboxMessage(ChassisTable):
    """An event that is to be published."""

    __tablename__ = "outbox"
    # Below Kafka's default limit of a megabyte a record: one that Kafka refuses would hold up all behind it.
    __table_args__ = (CheckConstraint("octet_length(payload) < 900000", name="fits_a_record"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(server_default=func.uuidv7())
    topic: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    payload: Mapped[bytes]
    traceparent: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Timestamp] = mapped_column(server_default=func.clock_timestamp())


def emit(session: AsyncSession, event: Event) -> None:
    """Publish `event` if this transaction commits.

    Lock the row the event is about before: events of one key then leave in the order their transactions took it.
    """
    session.add(
        OutboxMessage(
            topic=event.topic,
            key=event.key,
            payload=msgspec.json.encode(event),
            traceparent=tracing.traceparent(),
        )
    )


class Relay:
    """Publishes one service's outbox, oldest first."""

    def __init__(self, engine: AsyncEngine, *, service: str, cluster: Cluster) -> None:
        self._engine = engine
        self._service = service
        self._cluster = cluster
        self._refused: dict[str, float] = {}
        """Topics that refused an event last, and until when they are held up, in seconds of the monotonic clock."""

    async def lead(self) -> None:
        """Wait for the lock, then publish until something fails or the task is cancelled. To be called again then.

        A producer that met a non-retriable error stays unusable, so none outlives a call; nor does the connection.
        """
        async with self._engine.connect() as connection:
            # Autocommit: the lock lives as long as the connection, and nothing is open while we talk to Kafka.
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            # Another process may hold the lock; no event of this one tells when it lets go.
            while not await connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):  # noqa: ASYNC110
                await asyncio.sleep(RETRY_SECONDS)
            producer = AIOKafkaProducer(
                **self._cluster.client,
                client_id=f"closeloop-{self._service}-relay",
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                max_batch_size=MAX_BATCH_BYTES,
                request_timeout_ms=15_000,
            )
            try:
                await _start(producer)
                while True:
                    if await self._publish_oldest(connection, producer) < BATCH:
                        await asyncio.sleep(POLL_SECONDS)
            finally:
                # Ends by itself when the broker answers; a dead broker must not hold up a shutdown.
                await _within(STOP_SECONDS, producer.stop())
                # Not given back to the pool: the lock ends with the connection, whatever state that is in.
                await connection.invalidate()

    async def _publish_oldest(self, connection: AsyncConnection, producer: AIOKafkaProducer) -> int:
        """Publish a batch, delete what the broker has, and tell how many rows there were.

        Raises when an event was refused or not acknowledged, and then has deleted the rest.
        """
        now = time.monotonic()
        held = [topic for topic, until in self._refused.items() if until > now]
        rows = (await connection.execute(_OLDEST.where(OutboxMessage.topic.not_in(held)))).all()
        failures: list[BaseException] = []
        sent: dict[int, asyncio.Future] = {}
        for row in await self._round(rows, producer, failures):
            sent[row.id] = await self._send(row, producer)
        if sent:
            await asyncio.wait(sent.values(), timeout=ACKNOWLEDGEMENT_SECONDS)
        topics = {row.id: row.topic for row in rows}
        published = []
        for id_, outcome in sent.items():
            topic = topics[id_]
            if not outcome.done():
                failures.append(TimeoutError(f"{topic} was not acknowledged in {ACKNOWLEDGEMENT_SECONDS:.0f} s"))
            elif failure := outcome.exception():
                failures.append(self._refuse(topic, failure))
            else:
                published.append(id_)
                self._refused.pop(topic, None)
                telemetry.EVENTS_PUBLISHED.labels(topic).inc()
        if published:
            await connection.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(published)))
        if failures:
            raise failures[0]
        return len(rows)

    async def _round(self, rows: Sequence[Row], producer: AIOKafkaProducer, failures: list[BaseException]) -> list[Row]:
        """Choose the rows that are sent together: of each topic what fits into one of the producer's batches.

        A batch is taken or refused as a whole, so nothing overtakes a refused event of its key. That wants all of a
        topic's rows sent without the producer's having a moment in between: what it must ask first, it is asked here.
        """
        room: dict[str, int] = {}
        for topic in dict.fromkeys(row.topic for row in rows):
            try:
                await producer.partitions_for(topic)
            except KafkaError as failure:
                failures.append(self._refuse(topic, failure))
            else:
                # After a refusal one at a time, for it may have been the batch that was too large.
                room[topic] = 0 if topic in self._refused else BATCH_BYTES
        chosen = []
        begun: set[str] = set()
        for row in rows:
            size = len(row.payload) + len(row.key) + _HEADER_BYTES
            if row.topic in begun and size > room.get(row.topic, 0):
                room[row.topic] = 0  # nor may a smaller one behind it go before
            elif row.topic in room:
                begun.add(row.topic)
                room[row.topic] -= size
                chosen.append(row)
        return chosen

    def _refuse(self, topic: str, failure: BaseException) -> Exception:
        """Hold up a topic for a moment, and no other."""
        self._refused[topic] = time.monotonic() + REFUSED_SECONDS
        return RuntimeError(f"{topic} refuses an event: {failure!r}")

    async def _send(self, row: Row, producer: AIOKafkaProducer) -> asyncio.Future:
        with tracing.span(
            f"publish {row.topic}",
            SpanKind.PRODUCER,
            parent=row.traceparent,
            since=row.created_at,  # the span's length is how long the event waited
            messaging__system="kafka",
            messaging__destination__name=row.topic,
        ):
            headers = envelope.headers_of(
                event_id=str(row.event_id),
                event_type=row.topic,
                source=f"closeloop/{self._service}",
                subject=row.key,
                time=row.created_at,
                traceparent=tracing.traceparent() or row.traceparent,
            )
            return await producer.send(row.topic, row.payload, key=row.key.encode(), headers=headers)


_OLDEST = (
    select(
        OutboxMessage.id,
        OutboxMessage.event_id,
        OutboxMessage.topic,
        OutboxMessage.key,
        OutboxMessage.payload,
        OutboxMessage.traceparent,
        OutboxMessage.created_at,
    )
    .order_by(OutboxMessage.id)
    .limit(BATCH)
)


async def _start(producer: AIOKafkaProducer) -> None:
    """Connect. A start that is cut off would leave its connection behind, so a cancellation waits for its end."""
    starting = asyncio.create_task(producer.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting}, timeout=STOP_SECONDS)
        starting.cancel()
        raise


async def _within(seconds: float, ending: Awaitable[None]) -> None:
    try:
        await asyncio.wait_for(ending, seconds)
    except Exception as failure:  # noqa: BLE001 - we are leaving; the next producer starts fresh
        log.warning("producer did not stop cleanly", reason=f"{type(failure).__name__}: {failure}")


async def oldest_age_seconds(session: AsyncSession) -> float:
    """How long the oldest event has waited to be published; 0 when none does."""
    oldest = select(func.extract("epoch", func.clock_timestamp() - func.min(OutboxMessage.created_at)))
    return float(await session.scalar(oldest) or 0.0)
