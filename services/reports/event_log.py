"""Kafka's topics read as a log, from any place on: in no consumer group, so that who consumes them is not disturbed."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from shared.chassis.cluster import Cluster

BATCH_RECORDS = 2000
POLL_MS = 100

Places = Mapping[TopicPartition, int]
"""An offset in each partition."""


class LogUnusable(Exception):
    """Why the log cannot be read; for people."""


class EventLog:
    """Every partition of some topics. `places` says where it goes on reading."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> None:
        self._consumer = consumer
        self.partitions = sorted(partitions)

    async def first(self) -> Places:
        """The oldest offset that the log still has, in each partition."""
        return await self._consumer.beginning_offsets(self.partitions)

    async def end(self) -> Places:
        """The offset after the newest record that a service can have read, in each partition."""
        return await self._consumer.end_offsets(self.partitions)

    async def places(self) -> Places:
        """The offset after the last record that was read, in each partition."""
        return {partition: await self._consumer.position(partition) for partition in self.partitions}

    def go_to(self, places: Places) -> None:
        """Read on from there."""
        self._consumer.assign(self.partitions)
        for partition in self.partitions:
            self._consumer.seek(partition, places[partition])

    async def read(self) -> dict[str, list[ConsumerRecord]]:
        """Read at most BATCH_RECORDS, by topic; nothing when none came within POLL_MS."""
        found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        records: dict[str, list[ConsumerRecord]] = {}
        for partition, some in found.items():
            records.setdefault(partition.topic, []).extend(some)
        return records


@asynccontextmanager
async def open_log(cluster: Cluster, topics: Iterable[str]) -> AsyncIterator[EventLog]:
    """Connect, and find the topics' partitions. Raises LogUnusable when Kafka does not answer or misses a topic."""
    consumer = AIOKafkaConsumer(
        **cluster.client,
        client_id="closeloop-reports-rebuild",
        enable_auto_commit=False,
        auto_offset_reset="none",  # an offset that is not there any more is an error, and no leap to another
        isolation_level="read_committed",  # as the service's consumers: what was taken back did not happen
        fetch_max_wait_ms=50,  # questions about offsets wait behind a fetch
    )
    try:
        partitions = await _partitions(cluster, topics)
        await consumer.start()
        yield EventLog(consumer, partitions)
    except KafkaError as failure:
        raise LogUnusable(f"Kafka at {cluster.bootstrap_servers} does not answer as it should: {failure}") from failure
    finally:
        await consumer.stop()


async def _partitions(cluster: Cluster, topics: Iterable[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**cluster.client)
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    if missing := [topic["topic"] for topic in described if topic["error_code"]]:
        raise LogUnusable(f"Kafka at {cluster.bootstrap_servers} has no topic {', '.join(sorted(missing))}")
    return [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
