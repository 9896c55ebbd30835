"""From the database to Kafka: nothing that committed is lost, nothing that did not is said, and each key in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import UnknownTopicOrPartitionError
from sqlalchemy.exc import IntegrityError

from shared.chassis.cluster import Cluster
from shared.chassis.database import connect
from shared.chassis.lifecycle import keep_going
from shared.chassis.outbox import BATCH, OutboxMessage, Relay, emit
from tests.builders import a_ticket, a_ticket_updated, an_account
from tests.stage import Stage


@asynccontextmanager
async def relaying(stage: Stage, kafka: str, relays: int = 1) -> AsyncIterator[None]:
    """Run relays of the service's database, each with connections of its own."""
    engines = [
        connect(stage.service.engine.url.render_as_string(hide_password=False), service="counting", pool_size=2)
        for _ in range(relays)
    ]
    tasks = [
        asyncio.create_task(keep_going("relay", Relay(engine, service="counting", cluster=Cluster(kafka)).lead))
        for engine in engines
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for engine in engines:
            await engine.dispose()


async def published(kafka: str, topic: str, account: str, count: int) -> list[ConsumerRecord]:
    """Wait for `count` records of an account on a topic."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka, auto_offset_reset="earliest")
    await consumer.start()
    found: list[ConsumerRecord] = []
    try:
        async with asyncio.timeout(20):
            while len(found) < count:
                batches = await consumer.getmany(timeout_ms=200)
                found += [
                    record
                    for records in batches.values()
                    for record in records
                    if record.key and record.key.decode().split("/")[0] == account
                ]
    finally:
        await consumer.stop()
    return found


async def drained(stage: Stage) -> None:
    """Wait until the outbox is empty."""
    async with asyncio.timeout(20):
        while await stage.count(OutboxMessage):
            await asyncio.sleep(0.05)


async def test_a_rolled_back_transaction_says_nothing(counting: Stage) -> None:
    """An event exists if and only if its transaction committed."""
    async with counting.service.sessions() as session:
        emit(session, an_account())
        await session.flush()
        await session.rollback()

    assert await counting.count(OutboxMessage) == 0


async def test_what_no_record_can_hold_is_refused_before_it_blocks_the_relay(counting: Stage) -> None:
    """Kafka refuses a record above a megabyte for ever, and all behind it would wait."""
    with pytest.raises(IntegrityError, match="fits_a_record"):
        async with counting.service.sessions.begin() as session:
            emit(session, an_account(name="x" * 1_000_000))


async def test_events_leave_as_cloudevents_in_the_order_they_were_emitted(counting: Stage, kafka: str) -> None:
    """Any CloudEvents client can read what we publish."""
    account = f"account-{uuid4()}"
    async with counting.service.sessions.begin() as session:
        for version in range(1, 41):
            emit(session, a_ticket_updated(account_id=account, ticket=a_ticket(version=version)))

    async with relaying(counting, kafka):
        records = await published(kafka, "ticket.updated", account, 40)
        await drained(counting)

    assert [f'"version":{version},'.encode() in record.value for version, record in enumerate(records, 1)] == [
        True
    ] * 40
    headers = {name: value.decode() for name, value in records[0].headers}
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "ticket.updated"
    assert headers["ce_source"] == "closeloop/counting"
    assert headers["ce_subject"] == records[0].key.decode() == f"{account}/T-1"
    assert headers["content-type"] == "application/json"
    assert len({dict(record.headers)["ce_id"] for record in records}) == 40


async def test_two_relays_take_turns_and_say_everything_once(counting: Stage, kafka: str) -> None:
    """Every replica runs a relay; one leads."""
    account = f"account-{uuid4()}"

    async with relaying(counting, kafka, relays=2):
        for version in range(1, 31):
            async with counting.service.sessions.begin() as session:
                emit(session, a_ticket_updated(account_id=account, ticket=a_ticket(version=version)))
        await drained(counting)
        records = await published(kafka, "ticket.updated", account, 30)

    assert [f'"version":{version},'.encode() in record.value for version, record in enumerate(records, 1)] == [
        True
    ] * 30


async def test_the_next_relay_leads_when_the_first_is_gone(counting: Stage, kafka: str) -> None:
    """The lock ends with its holder's connection."""
    account = f"account-{uuid4()}"
    async with relaying(counting, kafka):
        await asyncio.sleep(0.3)
    async with counting.service.sessions.begin() as session:
        emit(session, an_account(account_id=account))

    async with relaying(counting, kafka):
        assert len(await published(kafka, "account.updated", account, 1)) == 1


async def test_without_kafka_events_wait_and_leave_when_it_is_there(counting: Stage, kafka: str) -> None:
    """A broker that is away costs time, not events."""
    account = f"account-{uuid4()}"
    async with counting.service.sessions.begin() as session:
        emit(session, an_account(account_id=account))

    async with relaying(counting, "127.0.0.1:1"):
        await asyncio.sleep(0.5)
    assert await counting.count(OutboxMessage) == 1

    async with relaying(counting, kafka):
        assert len(await published(kafka, "account.updated", account, 1)) == 1
        await drained(counting)


async def test_a_relay_that_is_stopped_at_any_moment_stops(counting: Stage, kafka: str) -> None:
    """A cancellation is not lost in what cleaning up runs into, and the lock is free again."""
    for moment in range(30):
        async with asyncio.timeout(10), relaying(counting, kafka):
            await asyncio.sleep(0.02 * moment)


async def test_an_event_that_the_broker_refuses_holds_up_its_own_topic_only_and_repeats_nothing(
    counting: Stage, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before and behind it on other topics goes out, once, however many are refused; those stay."""
    account = f"account-{uuid4()}"
    async with counting.service.sessions.begin() as session:
        emit(session, an_account(account_id=account))
        session.add_all(OutboxMessage(topic="no.such.topic", key=account, payload=b"{}") for _ in range(BATCH + 1))
        await session.flush()
        emit(session, an_account(account_id=account, version=2))
    partitions_for = AIOKafkaProducer.partitions_for

    async def impatient(producer: AIOKafkaProducer, topic: str) -> object:
        if topic == "no.such.topic":  # aiokafka itself says so after fifteen seconds
            raise UnknownTopicOrPartitionError
        return await partitions_for(producer, topic)

    monkeypatch.setattr(AIOKafkaProducer, "partitions_for", impatient)
    async with relaying(counting, kafka):
        await published(kafka, "account.updated", account, 2)
        await asyncio.sleep(2.5)  # time for two more rounds

    assert [row.topic for row in await counting.rows(OutboxMessage)] == ["no.such.topic"] * (BATCH + 1)
    assert len(await published(kafka, "account.updated", account, 2)) == 2
