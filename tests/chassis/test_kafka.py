"""Consumers on a real broker: what FastStream's defaults would lose, ours do not."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from faststream import AckPolicy
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.chassis.cluster import Cluster
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.kafka import connect
from shared.chassis.lifecycle import Service
from shared.chassis.settings import Settings
from tests.builders import a_ticket, a_ticket_updated
from tests.chassis.counting import Heard, events, failing
from tests.stage import Delivery, Stage, StoppedClock, delivery_of


def fresh_service(stage: Stage, kafka: str, **settings: int) -> Service:
    """Make a service with a consumer group of its own on the stage's database."""
    return Service(
        name=f"counting-{uuid4()}",
        settings=Settings(
            database_url=stage.service.settings.database_url,
            kafka_bootstrap_servers=kafka,
            kafka_session_timeout_ms=6000,
            **settings,
        ),
        events=events,
        clock=StoppedClock(),
    )


async def publish(kafka: str, *deliveries: Delivery, compression: str | None = None) -> None:
    """Publish with a plain client."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", compression_type=compression)
    await producer.start()
    try:
        for delivery in deliveries:
            await producer.send_and_wait(
                delivery.topic, delivery.value, key=delivery.key, headers=list(delivery.headers)
            )
    finally:
        await producer.stop()


async def heard(stage: Stage, *subjects: str) -> None:
    """Wait until each subject had its effect."""
    async with asyncio.timeout(30):
        while not {row.what for row in await stage.rows(Heard)} >= set(subjects):
            await asyncio.sleep(0.05)


def test_every_subscriber_commits_only_what_it_finished() -> None:
    """A policy left to a default loses records on a crash, silently."""
    service = Service(
        name="counting",
        settings=Settings(database_url="postgresql://nowhere/x", kafka_bootstrap_servers="127.0.0.1:1"),
        events=events,
    )
    broker = connect(Cluster("127.0.0.1:1"), service="counting")
    service.consumers.attach(broker, service="counting", session_timeout_ms=6000)

    assert len(broker.subscribers) == len(events.handlers)
    for subscriber in broker.subscribers:
        assert subscriber.ack_policy is AckPolicy.MANUAL
        assert subscriber._connection_args["auto_offset_reset"] == "earliest"
        assert subscriber._connection_args["enable_auto_commit"] is False
        assert subscriber._connection_args["isolation_level"] == "read_committed"
        assert isinstance(subscriber, BatchSubscriber)  # which has one worker
        bulk = events.batched & {event for event in events.handlers if event.topic in subscriber.topic_names}
        assert subscriber.max_records == (2000 if bulk else 500)
        assert subscriber.group_id == f"counting.{subscriber.topic_names[0]}"


async def test_events_published_before_the_first_start_are_heard(counting: Stage, kafka: str) -> None:
    """A new service hears history, poison in the middle of it included, and acknowledges what it took."""
    first, last = str(uuid4()), str(uuid4())
    poison = delivery_of(a_ticket_updated())
    poison.headers = [("ce_id", b"\xff"), ("ce_none", None)]
    await publish(
        kafka,
        delivery_of(a_ticket_updated(ticket=a_ticket(subject=first))),
        poison,
        delivery_of(a_ticket_updated(ticket=a_ticket(subject=last))),
    )
    service = fresh_service(counting, kafka)

    async with service.running(None):
        await heard(counting, first, last)
        assert await service.kafka_answers()
        await asyncio.sleep(0.3)
    await service.disconnect()

    assert any("ce_specversion is missing" in reason for reason in await counting.dead_letters())
    assert await committed(kafka, f"{service.name}.ticket.updated") == await end_of(kafka, "ticket.updated")


async def test_records_of_every_codec_are_heard(counting: Stage, kafka: str) -> None:
    """Publishers choose how they compress."""
    subjects = {codec: str(uuid4()) for codec in ("gzip", "snappy", "lz4", "zstd")}
    for codec, subject in subjects.items():
        await publish(kafka, delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject))), compression=codec)
    service = fresh_service(counting, kafka)

    async with service.running(None):
        await heard(counting, *subjects.values())


async def test_a_batch_that_met_an_outage_is_taken_again(counting: Stage, kafka: str) -> None:
    """The offset is not committed past what had no effect."""
    subject = str(uuid4())
    failing[subject] = [ConnectionError(), ConnectionError(), TimeoutError()]
    await publish(kafka, delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject))))
    service = fresh_service(counting, kafka)

    async with service.running(None):
        await heard(counting, subject)

    assert failing[subject] == []
    buried = await counting.rows(DeadLetter, topic="ticket.updated")
    assert not [letter for letter in buried if subject.encode() in (letter.value or b"")]


async def test_a_service_that_starts_without_kafka_consumes_when_it_is_there(
    counting: Stage, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start order does not matter."""
    subject = str(uuid4())
    await publish(kafka, delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject))))
    service = fresh_service(counting, "127.0.0.1:1")

    async with service.running(None):
        await asyncio.sleep(0.5)
        assert not await service.kafka_answers()
        object.__setattr__(service.settings, "kafka_bootstrap_servers", kafka)
        await heard(counting, subject)


async def committed(kafka: str, group: str) -> int:
    """Sum up a group's committed offsets."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
        return sum(max(partition.offset, 0) for partition in offsets.values())
    finally:
        await admin.close()


async def end_of(kafka: str, topic: str) -> int:
    """Sum up a topic's end offsets."""
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in await _partitions(consumer, topic)]
        return sum((await consumer.end_offsets(partitions)).values())
    finally:
        await consumer.stop()


async def _partitions(consumer, topic: str) -> set[int]:
    await consumer._client.force_metadata_update()
    consumer.subscribe([topic])
    async with asyncio.timeout(10):
        while not consumer.partitions_for_topic(topic):
            await consumer.getmany(timeout_ms=100)
    return consumer.partitions_for_topic(topic)
