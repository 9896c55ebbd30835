"""How far a service is behind: what its topics hold and what its consumer groups have committed.

Asked over connections of its own, so that it tells the truth about consumers whose connections are stuck.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.chassis.cluster import Cluster

ANSWER_SECONDS = 10.0


def group_of(service: str, topic: str) -> str:
    """Name the consumer group of a service's topic: each has its own, so that a rebalance of one disturbs no other."""
    return f"{service}.{topic}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group stands on a partition: it took every record below `taken`, and the next one written is `end`."""

    taken: int
    end: int

    @property
    def behind(self) -> int:
        """Records that were not taken yet."""
        return max(self.end - self.taken, 0)


class LagMeter:
    """Asks a cluster where the groups of `service` stand on `topics`. Open it with `async with`."""

    def __init__(self, cluster: Cluster, *, service: str, topics: Collection[str]) -> None:
        self._groups = {topic: group_of(service, topic) for topic in topics}
        client_id = f"closeloop-{service}-lag"
        self._admin = AIOKafkaAdminClient(**cluster.client, client_id=client_id)
        self._log = AIOKafkaConsumer(**cluster.client, client_id=client_id)

    async def __aenter__(self) -> Self:
        """Connect. Raises when the cluster does not answer."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.gather(self._admin.start(), self._log.start())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await asyncio.gather(self._admin.close(), self._log.stop(), return_exceptions=True)

    async def measure(self) -> dict[TopicPartition, Place]:
        """Tell where each partition's group stands. Raises when the cluster does not answer, or a topic is missing."""
        async with asyncio.timeout(ANSWER_SECONDS):
            partitions = [
                TopicPartition(topic["topic"], partition["partition"])
                for topic in await self._admin.describe_topics(list(self._groups))
                for partition in topic["partitions"]
            ]
            ends = await self._log.end_offsets(partitions)
            beginnings = await self._log.beginning_offsets(partitions)
            committed = {}
            for group in self._groups.values():
                committed |= await self._admin.list_consumer_group_offsets(group)
        return {
            partition: Place(
                # A group that has committed nothing begins with the oldest record there is.
                taken=committed[partition].offset if partition in committed else beginnings[partition],
                end=ends[partition],
            )
            for partition in partitions
        }
