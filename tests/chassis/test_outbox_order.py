"""An event that the broker refuses, and what follows it on its key."""

from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.chassis.outbox import OutboxMessage
from tests.chassis.test_outbox import drained, relaying
from tests.stage import Stage


async def values(kafka: str, topic: str) -> list[bytes]:
    """The first byte of each record that comes to a topic within three seconds."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found = []
    try:
        for _ in range(6):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [(record.value or b"")[:1] for record in records]
    finally:
        await consumer.stop()
    return found


async def test_what_follows_an_event_that_the_broker_refuses_does_not_overtake_it(counting: Stage, kafka: str) -> None:
    """The broker's answer comes late: by then later events could be in the producer's next batch."""
    topic = f"small-{uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "150000"})])
    await admin.close()
    async with counting.service.sessions.begin() as session:
        for value, size in ((b"1", 200_000), (b"2", 100_000), (b"3", 1)):  # too big together for one batch
            session.add(OutboxMessage(topic=topic, key="acme/T-1", payload=value * size))
            await session.flush()

    async with relaying(counting, kafka):
        on_topic = await values(kafka, topic)

    assert on_topic == []
    assert await counting.count(OutboxMessage) == 3


async def test_a_topic_that_takes_smaller_batches_than_we_send_is_served_one_by_one(
    counting: Stage, kafka: str
) -> None:
    """Each event is small enough for it; only together they were not."""
    topic = f"small-{uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": "150000"})])
    await admin.close()
    async with counting.service.sessions.begin() as session:
        for value in (b"1", b"2", b"3"):
            session.add(OutboxMessage(topic=topic, key="acme/T-1", payload=value * 60_000))
            await session.flush()

    async with relaying(counting, kafka):
        await drained(counting)

    assert await values(kafka, topic) == [b"1", b"2", b"3"]
