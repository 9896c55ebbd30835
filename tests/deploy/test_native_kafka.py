"""The broker for tests is a real Kafka, and can be broken and mended."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from deploy.kafka.native import NativeKafka


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeKafka]:
    """One for all tests here; each uses topics of its own and leaves it running."""
    native = NativeKafka(tmp_path_factory.mktemp("native"))
    native.start()
    yield native
    native.stop()


async def test_what_is_produced_is_consumed_with_key_and_headers(broker: NativeKafka) -> None:
    """An event arrives as it was sent."""
    topic = await new_topic(broker)
    await produce(broker, topic, b"hello")

    async with consumer(broker, topic) as reader:
        record = await asyncio.wait_for(reader.getone(), 20)

    assert (record.key, record.value, record.headers) == (b"key", b"hello", (("ce_type", b"probe"),))


async def test_two_consumers_of_a_group_share_the_partitions(broker: NativeKafka) -> None:
    """A service can run twice; librdkafka's broker could not show it."""
    topic = await new_topic(broker, partitions=4)

    async with consumer(broker, topic, group="shared") as one, consumer(broker, topic, group="shared") as two:
        assigned = [await assignment(one, 2), await assignment(two, 2)]

    assert assigned[0] | assigned[1] == {0, 1, 2, 3}


async def test_a_restart_keeps_records_and_offsets(broker: NativeKafka) -> None:
    """A stop is no loss, and clients find the broker where it was."""
    topic = await new_topic(broker)
    await produce(broker, topic, b"read before")
    async with consumer(broker, topic, group="restarted") as reader:
        await asyncio.wait_for(reader.getone(), 20)
        await reader.commit()
    await produce(broker, topic, b"not yet read")
    before = broker.bootstrap_servers

    broker.stop()
    broker.start()

    assert broker.bootstrap_servers == before
    async with consumer(broker, topic, group="restarted") as reader:
        assert (await asyncio.wait_for(reader.getone(), 20)).value == b"not yet read"


async def test_a_kill_loses_nothing_that_was_acknowledged(broker: NativeKafka) -> None:
    """Tests of an outage can kill the broker."""
    topic = await new_topic(broker)
    await produce(broker, topic, b"hello")

    broker.kill()
    broker.start()

    async with consumer(broker, topic) as reader:
        assert (await asyncio.wait_for(reader.getone(), 20)).value == b"hello"


async def test_a_paused_broker_falls_silent_and_goes_on(broker: NativeKafka) -> None:
    """Tests of a broker that hangs can pause it; what was sent meanwhile arrives later."""
    topic = await new_topic(broker)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        await producer.send_and_wait(topic, b"before")
        broker.pause()
        try:
            sent = await producer.send(topic, b"meanwhile")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(sent), 1)
        finally:
            broker.resume()

        assert (await asyncio.wait_for(sent, 20)).offset == 1


async def test_an_unknown_topic_is_not_made_by_using_it(broker: NativeKafka) -> None:
    """A typing error in a topic's name is an error."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, request_timeout_ms=1000) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("ticket.resovled", b"")


async def new_topic(broker: NativeKafka, partitions: int = 1) -> str:
    """Make a topic nobody used before."""
    name = f"probe.{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()
    return name


async def produce(broker: NativeKafka, topic: str, value: bytes) -> None:
    """Publish one record and wait for the broker's word."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value, key=b"key", headers=[("ce_type", b"probe")])


@asynccontextmanager
async def consumer(broker: NativeKafka, topic: str, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    """Read a topic from its beginning, or where the group was."""
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as reader:
        yield reader


async def assignment(reader: AIOKafkaConsumer, size: int) -> set[int]:
    """Wait until a consumer has `size` partitions, and say which."""
    async with asyncio.timeout(20):
        while len(reader.assignment()) != size:
            await asyncio.sleep(0.05)
    return {partition.partition for partition in reader.assignment()}
