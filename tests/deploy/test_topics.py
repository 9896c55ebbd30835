"""deploy/topics.yaml names every topic, and a broker gets exactly those."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError

from deploy.kafka.native import NativeKafka
from deploy.kafka.topics import load, provision
from shared.chassis.cluster import Cluster
from shared.contracts import EVENTS

TOPICS = {topic.name: topic for topic in load()}
SERVICES = {"desk", "portal", "surveys", "notifier", "reports"}


@pytest.fixture(scope="module")
def empty_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker without topics."""
    native = NativeKafka(tmp_path_factory.mktemp("empty"))
    native.start()
    yield native.bootstrap_servers
    native.stop()


def test_every_event_has_its_topic() -> None:
    """Nothing is published where no topic is."""
    assert {event.topic for event in EVENTS} == set(TOPICS)


def test_everybody_named_is_a_service_or_the_help_desk() -> None:
    """A typing error in the file would grant a right to nobody."""
    for topic in TOPICS.values():
        assert topic.owners, topic.name
        assert set(topic.owners) | set(topic.readers) <= SERVICES, topic.name


def test_links_are_read_by_the_notifier_alone_and_kept_for_a_week() -> None:
    """Whoever has a link is let in; it is nobody else's business."""
    for name in ("reply.published", "survey.invited", "survey.reminded"):
        assert TOPICS[name].readers == ("notifier",)
        assert TOPICS[name].retention_ms == 7 * 24 * 60 * 60 * 1000


def test_facts_are_kept_for_ever() -> None:
    """A service's database can be built anew from the topics."""
    assert TOPICS["ticket.resolved"].retention_ms == -1


async def test_provisioning_makes_what_is_missing_and_can_be_repeated(empty_broker: str) -> None:
    """Each deployment runs it; two at the same time do no harm."""
    first, second = await asyncio.gather(provision(Cluster(empty_broker)), provision(Cluster(empty_broker)))
    third = await provision(Cluster(empty_broker))

    assert sorted(first.created + second.created) == sorted(TOPICS)
    assert (third.created, third.mismatches) == ((), ())
    assert await retention(empty_broker, "survey.invited") == "604800000"
    assert await retention(empty_broker, "ticket.resolved") == "-1"


async def test_a_cluster_that_has_just_begun_is_waited_for(empty_broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers a moment before it knows its brokers, and says then that there are none."""
    list_topics, asked = AIOKafkaAdminClient.list_topics, []

    async def list_later(admin: AIOKafkaAdminClient) -> list[str]:
        asked.append(admin)
        if len(asked) < 3:
            raise NodeNotReadyError
        return await list_topics(admin)

    monkeypatch.setattr(AIOKafkaAdminClient, "list_topics", list_later)
    await provision(Cluster(empty_broker))

    assert len({id(admin) for admin in asked}) == 3


async def test_a_topic_that_is_not_as_the_file_says_is_reported_and_left_alone(
    empty_broker: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """More partitions would give a ticket's events two places, and so no order; a shorter retention deletes facts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=empty_broker)
    await admin.start()
    await admin.create_topics([NewTopic("probe.grown", 2, 1, topic_configs={"retention.ms": "1000"})])
    while "probe.grown" not in await admin.list_topics():  # it shows up a moment later
        await asyncio.sleep(0.05)
    file = tmp_path / "topics.yaml"
    file.write_text(
        "defaults: {key: account_id, partitions: 3, retention_days: forever}\n"
        "topics: {probe.grown: {owners: [desk], readers: [portal]}}\n"
    )
    monkeypatch.setattr("deploy.kafka.topics.FILE", file)

    outcome = await provision(Cluster(empty_broker))

    assert outcome.created == ()
    assert outcome.mismatches == (
        "probe.grown has 2 partitions, not 3",
        "probe.grown has retention.ms=1000, not -1",
    )
    assert len((await admin.describe_topics(["probe.grown"]))[0]["partitions"]) == 2
    await admin.close()


async def test_the_broker_of_the_test_run_has_every_topic(kafka: str) -> None:
    """Wherever the tests' Kafka comes from."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        assert set(TOPICS) <= set(await admin.list_topics())
    finally:
        await admin.close()


async def retention(bootstrap_servers: str, topic: str) -> str:
    """Ask the broker for a topic's `retention.ms`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    [described] = response.to_object()["resources"]
    return next(
        entry["config_value"] for entry in described["config_entries"] if entry["config_names"] == "retention.ms"
    )
