"""What a service looks at every few seconds: how far behind it is, what waits, what died, and whether it hangs."""

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aiokafka import TopicPartition
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared.chassis import telemetry
from shared.chassis.database import Sessions
from shared.chassis.dead_letters import count_letters
from shared.chassis.kafka import Consumers
from shared.chassis.lag import LagMeter, Place
from shared.chassis.outbox import OutboxMessage, oldest_age_seconds
from shared.chassis.settings import Settings
from shared.chassis.watchdog import BEAT_SECONDS, Watchdog

LOOK_SECONDS = 10.0

Assigned = Callable[[], Mapping[str, set[TopicPartition]]]
"""The partitions that each topic's consumer has to take; empty while Kafka is not connected."""

log = structlog.get_logger()


class VitalSigns:
    """Looks after one service. `behind`: records its groups have to take, as last seen; None while Kafka is silent."""

    def __init__(
        self, *, name: str, settings: Settings, sessions: Sessions, consumers: Consumers, assigned: Assigned
    ) -> None:
        self.behind: int | None = None
        self._name = name
        self._cluster = settings.cluster
        self._sessions = sessions
        self._consumers = consumers
        self._assigned = assigned
        self._watchdog = Watchdog(settings.hangs_after_seconds)

    async def watch(self) -> None:
        """Look until cancelled."""
        self._watchdog.start()
        try:
            await asyncio.gather(self._beat(), self._look_at_kafka(), self._look_at_database())
        finally:
            self._watchdog.stop()

    async def _beat(self) -> None:
        while True:
            self._watchdog.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def _look_at_kafka(self) -> None:
        topics = list(self._consumers.by_topic)
        while topics:
            try:
                async with LagMeter(self._cluster, service=self._name, topics=topics) as meter:
                    while True:
                        self._judge(await meter.measure())
                        await asyncio.sleep(LOOK_SECONDS)
            except Exception as failure:  # noqa: BLE001 - whatever it is, nothing can be said about the consumers
                log.info("lag is not known", reason=type(failure).__name__)
            self.behind = None
            self._watchdog.forget()
            await asyncio.sleep(LOOK_SECONDS)

    def _judge(self, places: Mapping[TopicPartition, Place]) -> None:
        assigned = self._assigned()
        self.behind = sum(place.behind for place in places.values())
        for topic, consumer in self._consumers.by_topic.items():
            of_topic = {partition: place for partition, place in places.items() if partition.topic == topic}
            telemetry.CONSUMER_LAG.labels(topic).set(sum(place.behind for place in of_topic.values()))
            # Another replica's partitions are its own business. Who has none may have failed to join: then all count.
            mine = [of_topic[partition] for partition in assigned.get(topic, ()) if partition in of_topic]
            mine = mine or list(of_topic.values())
            self._watchdog.see(
                topic,
                behind=sum(place.behind for place in mine),
                taken=sum(place.taken for place in mine),
                active_at=consumer.active_at,
            )

    async def _look_at_database(self) -> None:
        while True:
            try:
                async with self._sessions() as session:
                    await self._count(session)
            except Exception as failure:  # noqa: BLE001 - /health/ready says that the database is down
                log.info("database is not known", reason=type(failure).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def _count(self, session: AsyncSession) -> None:
        telemetry.OUTBOX_EVENTS.set(await session.scalar(select(func.count()).select_from(OutboxMessage)) or 0)
        telemetry.OUTBOX_AGE.set(await oldest_age_seconds(session))
        letters = await count_letters(session)
        for topic in self._consumers.by_topic:
            for state in ("dead", "waiting"):
                telemetry.DEAD_LETTERS.labels(topic, state).set(letters[topic, state])
