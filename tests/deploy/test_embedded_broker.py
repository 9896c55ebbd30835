"""The sandbox's broker does what one replica of each service needs."""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.kafka.embedded import EmbeddedBroker


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    """One with two topics."""
    embedded = EmbeddedBroker({"ticket.resolved": 3, "account.updated": 1})
    embedded.start()
    yield embedded
    embedded.stop()


async def test_its_topics_have_the_partitions_asked_for(broker: EmbeddedBroker) -> None:
    """Nobody has to create topics, which it could not do."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        assert await producer.partitions_for("ticket.resolved") == {0, 1, 2}
        assert await producer.partitions_for("account.updated") == {0}


async def test_a_group_goes_on_where_it_committed(broker: EmbeddedBroker) -> None:
    """A service that is restarted while the sandbox runs hears each event once."""
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, enable_idempotence=True) as producer:
        for value in (b"first", b"second"):
            await producer.send_and_wait("account.updated", value, headers=[("ce_type", b"probe")])

    assert await heard(broker) == (b"first", (("ce_type", b"probe"),))
    assert await heard(broker) == (b"second", (("ce_type", b"probe"),))


def test_it_has_an_address_only_while_it_runs() -> None:
    """Using it before its start is an error, not a hang."""
    broker = EmbeddedBroker({})
    with pytest.raises(RuntimeError, match="not running"):
        _ = broker.bootstrap_servers

    broker.start()
    assert broker.bootstrap_servers.startswith("127.0.0.1:")

    broker.stop()
    broker.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = broker.bootstrap_servers


def test_it_prints_nothing(broker: EmbeddedBroker, capfd: pytest.CaptureFixture[str]) -> None:
    """The sandbox's output is for the sandbox's user."""
    broker.stop()
    broker.start()

    assert capfd.readouterr() == ("", "")


async def heard(broker: EmbeddedBroker) -> tuple[bytes | None, object]:
    """Read and commit the group's next record."""
    async with AIOKafkaConsumer(
        "account.updated",
        bootstrap_servers=broker.bootstrap_servers,
        group_id="portal.account.updated",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=2000,
        heartbeat_interval_ms=500,
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
        await consumer.commit()
        return record.value, record.headers
