"""Kafka's side of a service: which handler hears which topic, and consumers that lose nothing.

FastStream's defaults lose records in five measured ways (DESIGN.md's table of traps), so this module fixes what must
not be left to defaults: batches, acknowledgement by hand after the commit, one worker, the earliest offset, a parser
that cannot fail. tests/chassis/test_kafka.py asserts it of every subscriber.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from shared.chassis import telemetry
from shared.chassis.clock import Clock
from shared.chassis.cluster import Cluster
from shared.chassis.consumer import Amend, Consumer, Handler
from shared.chassis.database import Sessions, is_outage
from shared.chassis.dead_letters import DeadLetter, TooManyDeadLetters
from shared.chassis.lag import group_of
from shared.contracts.event import Event

BATCH_RECORDS = 500
BULK_RECORDS = 2000
"""As many for a handler that takes many at once. More are no faster, and a batch waits for its last record."""
BATCH_TIMEOUT_MS = 50
BATCH_STOP_SECONDS = 6.0
"""How long the batches in hand may take to end when the service stops; what is not committed then comes again."""

LONGEST_WAIT_SECONDS = 5.0
STANDSTILL_SECONDS = 20.0
"""How long a consumer waits that has too many dead letters. It asks again, for they may have been dealt with."""


H = TypeVar("H", bound=Handler)

log = structlog.get_logger()


class EventRouter:
    """Which of a service's handlers hears which event. One handler an event: a topic's records are taken once.

    `amend`: what is to be heard of events, where that is not all of it.
    """

    def __init__(self, amend: Amend | None = None) -> None:
        self.amend = amend
        self.handlers: dict[type[Event], Handler] = {}
        self.awaited: set[type[Event]] = set()
        self.batched: set[type[Event]] = set()

    def on(self, event: type[Event], *, awaited: bool = False) -> Callable[[H], H]:
        """Hear `event`. The handler gets the event, the open session and `now`, and by name what the app provides.

        `awaited`: other handlers may raise `Awaits` with this event's key; their records run right after it.
        """
        if awaited:
            self.awaited.add(event)
        return self._register(event)

    def on_batch(self, event: type[Event]) -> Callable[[H], H]:
        """Hear `event`, many at once: the handler gets a list of them, one at least, in their order.

        For effects that cost less together. When it raises, for whichever of them, each is handed to it alone.
        """
        self.batched.add(event)
        return self._register(event)

    def _register(self, event: type[Event]) -> Callable[[H], H]:
        def register(handler: H) -> H:
            if event in self.handlers:
                raise TypeError(f"{event.topic} has a handler already: {self.handlers[event].__name__}")
            self.handlers[event] = handler
            return handler

        return register


class Consumers:
    """A service's consumers: one for each topic, each in its own group `<service>.<topic>`."""

    def __init__(
        self,
        events: EventRouter,
        *,
        sessions: Sessions,
        clock: Clock,
        provided: Mapping[str, Any] | None = None,
        dead_letter_limit: int = 100,
    ) -> None:
        self.by_topic: dict[str, Consumer] = {
            event.topic: Consumer(
                event,
                handler,
                batched=event in events.batched,
                sessions=sessions,
                clock=clock,
                provided=provided or {},
                run_waiting=self._run_waiting if event in events.awaited else None,
                limit=dead_letter_limit,
                amend=events.amend,
            )
            for event, handler in events.handlers.items()
        }

    async def _run_waiting(self, session: AsyncSession, keys: Iterable[str]) -> None:
        waiting = await session.scalars(
            select(DeadLetter).where(DeadLetter.awaits.in_(list(keys))).order_by(DeadLetter.id).with_for_update()
        )
        for letter in waiting.all():
            consumer = self.by_topic.get(letter.topic)
            if consumer is None:  # a handler that a later release dropped
                continue
            try:
                async with session.begin_nested():
                    await consumer.run_letter(session, letter)
            except Exception as failure:
                if is_outage(failure):
                    raise
                # It came, and the record fails all the same: from here on it is an ordinary dead letter.
                await session.execute(
                    update(DeadLetter)
                    .where(DeadLetter.id == letter.id)
                    .values(awaits=None, reason=type(failure).__name__, attempts=letter.attempts + 1)
                )

    def attach(self, broker: KafkaBroker, *, service: str, session_timeout_ms: int) -> None:
        """Subscribe every consumer on `broker`."""
        for topic, consumer in self.by_topic.items():
            _subscribe(broker, topic, consumer, service=service, session_timeout_ms=session_timeout_ms)


def connect(cluster: Cluster, *, service: str) -> KafkaBroker:
    """Make the broker the service's consumers run on. Publishing is the relay's alone."""
    return KafkaBroker(
        cluster.bootstrap_servers.split(","),
        security=cluster.security,
        client_id=f"closeloop-{service}",
        allow_auto_create_topics=False,
        consumer_only=True,
        graceful_timeout=BATCH_STOP_SECONDS,
        logger=logging.getLogger("closeloop.kafka"),
        log_level=logging.DEBUG,
    )


def _rewind(consumer: AIOKafkaConsumer, records: tuple[ConsumerRecord, ...]) -> None:
    """Go back to each partition's first record of a batch, so that it is fetched again.

    FastStream's nack stops at the first partition that a rebalance took from us meanwhile; the next commit would then
    pass the records of those after it.
    """
    first: dict[TopicPartition, int] = {}
    for record in records:
        first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
    for partition in first.keys() & consumer.assignment():
        consumer.seek(partition, first[partition])


def assigned(broker: KafkaBroker) -> dict[str, set[TopicPartition]]:
    """Tell which partitions each topic's consumer has to take."""
    assignments = {}
    for subscriber in cast(list[Any], broker.subscribers):
        if (consumer := subscriber.consumer) is not None:
            for topic in subscriber.topic_names:
                assignments[topic] = set(consumer.assignment())
    return assignments


async def answers(broker: KafkaBroker, seconds: float) -> bool:
    """Tell whether the cluster answers a consumer within `seconds`."""
    try:
        consumer: AIOKafkaConsumer = cast(Any, broker.subscribers[0]).consumer
        await asyncio.wait_for(consumer.topics(), seconds)
    except Exception:  # noqa: BLE001 - whatever it is, it did not answer
        return False
    return True


def _subscribe(broker: KafkaBroker, topic: str, consumer: Consumer, *, service: str, session_timeout_ms: int) -> None:
    subscriber = broker.subscriber(
        topic,
        group_id=group_of(service, topic),
        batch=True,
        max_records=BULK_RECORDS if consumer.batched else BATCH_RECORDS,
        batch_timeout_ms=BATCH_TIMEOUT_MS,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        isolation_level="read_committed",  # what a publisher's transaction took back did not happen
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=max(session_timeout_ms // 10, 200),
        no_reply=True,
        include_in_schema=False,
    )

    async def parse(records: tuple[Any, ...]) -> KafkaAckableMessage:
        # FastStream's own parser decodes headers and skips the record, silently, when one is not UTF-8.
        return KafkaAckableMessage(body=b"", raw_message=records, headers={}, consumer=cast(Any, subscriber).consumer)

    async def decode(message: KafkaAckableMessage) -> KafkaAckableMessage:
        return message

    failures = 0

    async def take(message: Any) -> None:
        nonlocal failures
        begun = time.monotonic()
        try:
            await consumer.take(message.raw_message)
        except asyncio.CancelledError:
            raise
        except Exception as failure:  # noqa: BLE001 - an exception let through would skip the batch
            failures += 1
            consumer.active_at = time.monotonic()
            wait = _wait_after(failure, failures)
            _tell_that_a_batch_waits(consumer, failure, wait)
            await asyncio.sleep(wait)
            _rewind(message.consumer, message.raw_message)
            return
        failures = 0
        consumer.active_at = time.monotonic()
        consumer.trouble = None
        telemetry.CONSUMER_STOPPED.labels(topic).set(0)
        telemetry.BATCH_SECONDS.labels(topic).observe(time.monotonic() - begun)
        try:
            await message.ack()
        except Exception as failure:  # noqa: BLE001 - the effects are committed; a repeat is dropped by its id
            log.warning("offsets not committed", topic=topic, reason=type(failure).__name__)

    subscriber(take, parser=parse, decoder=decode)


def _wait_after(failure: Exception, failures: int) -> float:
    """How long to wait, in seconds, with jitter, so that replicas do not return in step."""
    longest = min(LONGEST_WAIT_SECONDS, 0.1 * 2 ** min(failures, 10))
    if isinstance(failure, TooManyDeadLetters):
        longest = STANDSTILL_SECONDS
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter


def _tell_that_a_batch_waits(consumer: Consumer, failure: Exception, wait: float) -> None:
    topic = consumer.event_type.topic
    telemetry.BATCHES_RETRIED.labels(topic).inc()
    if isinstance(failure, TooManyDeadLetters):
        consumer.trouble = f"stands still: {failure}"
        telemetry.CONSUMER_STOPPED.labels(topic).set(1)
        log.error("consumer stands still", topic=topic, reason=str(failure), seconds=round(wait, 2))
    else:
        consumer.trouble = f"waits: {type(failure).__name__}"
        log.warning("batch waits", topic=topic, reason=type(failure).__name__, seconds=round(wait, 2))
