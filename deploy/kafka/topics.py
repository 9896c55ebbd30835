"""The topics of deploy/topics.yaml: read, and made on a broker.

`python -m deploy.kafka.topics` makes what is missing on the cluster that a service's KAFKA_… settings name. Exit code
1: a topic that exists has another number of partitions, or is kept for another time, than the file says.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NodeNotReadyError, TopicAlreadyExistsError, for_code

from shared.chassis.cluster import Cluster, ClusterSettings

FILE = Path(__file__).parents[1] / "topics.yaml"
START_SECONDS = 20.0
"""How long a cluster may take to know its brokers."""

_DAY_MS = 24 * 60 * 60 * 1000
_BROKERS_CHOICE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as deploy/topics.yaml describes it."""

    name: str
    owners: tuple[str, ...]
    readers: tuple[str, ...]
    key: str
    partitions: int
    retention_days: int | Literal["forever"]

    @property
    def retention_ms(self) -> int:
        """Kafka's `retention.ms`: milliseconds, -1 for ever."""
        return -1 if self.retention_days == "forever" else self.retention_days * _DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What `provision` made, and where the broker contradicts deploy/topics.yaml, a sentence each."""

    created: tuple[str, ...]
    mismatches: tuple[str, ...]


def load() -> list[Topic]:
    """Return every topic, in the order of the file. Raises TypeError for one that is described wrongly."""
    described = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    defaults: dict[str, Any] = described["defaults"]
    topics = []
    for name, own in described["topics"].items():
        owners, readers = tuple(own.pop("owners")), tuple(own.pop("readers"))
        topics.append(Topic(name=name, owners=owners, readers=readers, **(defaults | own)))
    return topics


async def provision(cluster: Cluster) -> Provisioned:
    """Make the topics that are missing and report those that are not as the file says.

    Never changes one that is there: more partitions would move keys and break their order, and a shorter retention
    deletes facts. New ones have as many copies as the broker's `default.replication.factor`. May be repeated, also at
    the same time. Raises aiokafka's KafkaError.
    """
    topics = load()
    admin, present = await _connect(cluster)
    try:
        missing = [topic for topic in topics if topic.name not in present]
        created = await _create(admin, missing) if missing else []
        left_alone = [topic for topic in topics if topic.name not in created]
        mismatches = await _mismatches(admin, left_alone) if left_alone else []
    finally:
        await admin.close()
    return Provisioned(created=tuple(created), mismatches=tuple(mismatches))


async def _connect(cluster: Cluster) -> tuple[AIOKafkaAdminClient, list[str]]:
    """Connect, and list the topics that are there."""
    ends_at = time.monotonic() + START_SECONDS
    while True:
        admin = AIOKafkaAdminClient(**cluster.client)
        try:
            await admin.start()
            return admin, await admin.list_topics()
        except NodeNotReadyError:
            # A cluster that has just begun answers before it knows its brokers, and this client would not ask again.
            await admin.close()
            if time.monotonic() > ends_at:
                raise
            await asyncio.sleep(0.2)
        except BaseException:
            await admin.close()
            raise


async def _mismatches(admin: AIOKafkaAdminClient, topics: list[Topic]) -> list[str]:
    described = await admin.describe_topics([topic.name for topic in topics])
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name, {"retention.ms": ""}) for topic in topics]
    [response] = await admin.describe_configs(resources)
    retention = {
        topic["resource_name"]: int(entry["config_value"])
        for topic in response.to_object()["resources"]
        for entry in topic["config_entries"]
    }
    mismatches = []
    for topic in topics:
        if (found := partitions.get(topic.name, topic.partitions)) != topic.partitions:
            mismatches.append(f"{topic.name} has {found} partitions, not {topic.partitions}")
        if (found := retention.get(topic.name, topic.retention_ms)) != topic.retention_ms:
            mismatches.append(f"{topic.name} has retention.ms={found}, not {topic.retention_ms}")
    return mismatches


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic]) -> list[str]:
    """Make topics and return the names of those that nobody else made at the same moment."""
    response = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                topic.partitions,
                replication_factor=_BROKERS_CHOICE,
                replica_assignments={},  # aiokafka wants it with a -1
                topic_configs={"retention.ms": str(topic.retention_ms)},
            )
            for topic in topics
        ]
    )
    created = []
    for topic in response.to_object()["topic_errors"]:
        if topic["error_code"] == 0:
            created.append(topic["topic"])
        elif topic["error_code"] != TopicAlreadyExistsError.errno:
            raise for_code(topic["error_code"])(f"{topic['topic']}: {topic['error_message']}")
    return created


def main() -> int:
    """Make the topics on the cluster that the environment names and say what was done."""
    outcome = asyncio.run(provision(ClusterSettings.from_environment().cluster))
    for name in outcome.created:
        print(f"created {name}")
    for mismatch in outcome.mismatches:
        print(mismatch, file=sys.stderr)
    return 1 if outcome.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
