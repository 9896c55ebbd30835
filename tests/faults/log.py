"""Kafka as the oracles see it: what is in the log from offset 0, and how far behind each consumer is."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.kafka import topics
from tests.product import SERVICES

GROUPS = [
    (topic.name, f"{reader}.{topic.name}") for topic in topics.load() for reader in topic.readers if reader in SERVICES
]
"""Each topic with each consumer group of ours that reads it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the log. `facts` is its payload, None when it is not JSON."""

    topic: str
    partition: int
    offset: int
    key: str
    source: str
    event_id: str
    digest: str
    facts: dict[str, Any] | None

    @property
    def name(self) -> tuple[str, str]:
        """What repeats of one event have in common."""
        return self.source, self.event_id

    @property
    def account_id(self) -> str:
        """Whose event it is, as its key says."""
        return self.key.partition("/")[0]


class Log:
    """Every topic from offset 0, read on demand and remembered."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        # Subscribed to nothing. Kept, since it takes more than a second to learn of all topics.
        self._reader: AIOKafkaConsumer | None = None
        self._positions: dict[TopicPartition, int] = {}
        self.entries: list[Entry] = []

    async def read_to_end(self) -> list[Entry]:
        """Read what was added since the last time and give everything."""
        reader = await self._open()
        ends = {partition: end for partition, end in (await reader.end_offsets(_partitions())).items() if end}
        behind = {partition for partition, end in ends.items() if self._positions.get(partition, 0) < end}
        if behind:
            reader.assign(behind)
            for partition in behind:
                reader.seek(partition, self._positions.get(partition, 0))
        while behind:
            for partition, records in (await reader.getmany(timeout_ms=500, max_records=5000)).items():
                self.entries.extend(_entry(record) for record in records)
                self._positions[partition] = records[-1].offset + 1
            behind = {partition for partition in behind if self._positions.get(partition, 0) < ends[partition]}
        return self.entries

    async def lag(self) -> dict[str, int]:
        """How many records each group has not acknowledged, for the groups that have not acknowledged all."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers)
        await admin.start()
        try:
            committed = {group: await admin.list_consumer_group_offsets(group) for _, group in GROUPS}
        finally:
            await admin.close()
        ends = await (await self._open()).end_offsets(_partitions())
        lags = {
            group: sum(
                end - max(committed[group][partition].offset if partition in committed[group] else 0, 0)
                for partition, end in ends.items()
                if partition.topic == topic
            )
            for topic, group in GROUPS
        }
        return {group: lag for group, lag in lags.items() if lag}

    async def close(self) -> None:
        """Hang up."""
        if self._reader:
            await self._reader.stop()
            self._reader = None

    async def _open(self) -> AIOKafkaConsumer:
        if self._reader is None:
            reader = AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap_servers, enable_auto_commit=False, auto_offset_reset="earliest"
            )
            await reader.start()
            self._reader = reader
        return self._reader


def _partitions() -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in topics.load() for number in range(topic.partitions)]


def _entry(record: Any) -> Entry:
    headers = dict(record.headers)
    value: bytes = record.value or b""
    try:
        facts = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        facts = None
    return Entry(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=(record.key or b"").decode(errors="replace"),
        source=_text(headers.get("ce_source")),
        event_id=_text(headers.get("ce_id")),
        digest=hashlib.md5(value, usedforsecurity=False).hexdigest(),
        facts=facts if isinstance(facts, dict) else None,
    )


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
