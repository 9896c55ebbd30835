"""A Kafka log to rebuild from, what is told in it, and rebuilds that can be stopped and killed."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError
from sqlalchemy import text

from services.reports.rebuild import Choices, Rebuild, rebuilding
from services.reports.tables import CsatCell, CsatDaily, CsatKind, Rating, SkippedSurvey
from services.reports.terminal import Tell
from shared.chassis.inbox import InboxMessage
from shared.chassis.lifecycle import Service
from shared.contracts import Event
from tests.builders import ADA, BEN, NOON, a_ticket, an_account
from tests.reports.told import a_survey, created, expired, skipped, submitted
from tests.stage import Delivery, Stage, delivery_of

ROOT = Path(__file__).parents[2]


class Log:
    """What was published so far, by a publisher of its own."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=5)

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def tells(self, *told: Event | Delivery) -> None:
        """Publish and wait until the broker has all of it."""
        deliveries = [item if isinstance(item, Delivery) else delivery_of(item) for item in told]
        acknowledged = [
            await self._producer.send(each.topic, each.value, key=each.key, headers=list(each.headers))
            for each in deliveries
        ]
        await asyncio.gather(*acknowledged)

    async def takes_back(self, *events: Event) -> None:
        """Publish in a transaction that is aborted: nobody is to hear of it."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers, transactional_id=str(uuid4()))
        await producer.start()
        await producer.begin_transaction()
        for event in events:
            each = delivery_of(event)
            await producer.send_and_wait(each.topic, each.value, key=each.key, headers=list(each.headers))
        await producer.abort_transaction()
        await producer.stop()

    async def forgets(self, *topics: str) -> None:
        """Have the broker delete topics."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        async with asyncio.timeout(60):
            await admin.delete_topics(sorted(set(topics) & set(await admin.list_topics())))
            while set(topics) & set(await admin.list_topics()):
                await asyncio.sleep(0.1)
        await admin.close()

    async def loses(self, topic: str) -> None:
        """Have the broker delete the first record of every partition that has one."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        for partition in range(12):
            try:
                await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(1)})
            except KafkaError:
                continue  # it had none
        await admin.close()


def some_history(surveys: int, seed: int = 1) -> list[Event]:
    """Two accounts, and what became of their surveys."""
    dice = random.Random(seed)
    told: list[Event] = [an_account(time_zone="Asia/Tokyo"), an_account(account_id="bolt", time_zone="UTC")]
    for number in range(surveys):
        told += outcome(number, dice)
    told.append(skipped(ticket=a_ticket(ticket_id="K-1", version=3)))
    return told


def outcome(number: int, dice: random.Random) -> list[Event]:
    """A survey and what became of it."""
    account_id = ("acme", "bolt")[number % 2]
    at = NOON - timedelta(hours=dice.randint(0, 500))
    survey = a_survey(f"s-{number:02}", agent=(ADA, BEN, None)[number % 3], created_at=at)
    told: list[Event] = [created(survey, account_id=account_id)]
    if number % 4 < 2:
        told.append(submitted(survey, 1 + number % 5, account_id=account_id, submitted_at=at + timedelta(hours=9)))
    if number % 4 > 1:
        reason = ("unanswered", "reopened", "undeliverable")[number % 3]
        told.append(expired(survey, reason, account_id=account_id, expired_at=at + timedelta(days=14)))
    return told


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Wait until something is true and tell what it is."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
    return found


async def has(stage: Stage, table: Any, count: int) -> bool:
    """Whether the live database has so many rows."""
    return await stage.count(table) == count


async def heard(stage: Stage, events: Sequence[Event]) -> None:
    """Until the live service took so many events."""

    async def complete() -> bool:
        return await stage.count(InboxMessage) >= len(events)

    await until(complete)


async def everything(stage: Stage) -> dict[str, list]:
    """Every row of the read model, in an order of its own."""
    return {
        table.__tablename__: sorted(
            (tuple(getattr(row, column.name) for column in table.__table__.columns) for row in await stage.rows(table)),
            key=repr,
        )
        for table in (Rating, SkippedSurvey, CsatDaily, CsatKind, CsatCell)
    }


async def corrupt(stage: Stage) -> None:
    """Ratings change, others vanish, the rollup says something else than either."""
    async with stage.service.sessions.begin() as session:
        await session.execute(text("UPDATE ratings SET score = 6 - score, comment = 'rubbish' WHERE score <> 3"))
        await session.execute(text("DELETE FROM ratings WHERE survey_id < 's-05'"))
        await session.execute(text("UPDATE csat_daily SET score_5 = score_5 + 40, pending = 0"))
        await session.execute(text("UPDATE csat_kinds SET score_1 = score_1 + 1, channel = 'fax'"))
        await session.execute(text("UPDATE csat_cells SET submitted = submitted + 1, assignee_id = 'eve'"))
        await session.execute(text("DELETE FROM skipped_surveys"))


async def has_a_shadow(stage: Stage) -> bool:
    """Whether a rebuild has begun and not ended."""
    async with stage.service.sessions() as session:
        return bool(await session.scalar(text("SELECT to_regclass('shadow.progress') IS NOT NULL")))


async def records_read(stage: Stage) -> int:
    """How far a rebuild has come; 0 when there is none."""
    async with stage.service.sessions() as session:
        if not await session.scalar(text("SELECT to_regclass('shadow.progress') IS NOT NULL")):
            return 0
        return int(await session.scalar(text("SELECT coalesce(sum(next_offset), 0) FROM shadow.progress")))


async def tries_to_swap(stage: Stage) -> bool:
    """Whether somebody waits for the tables alone."""
    async with stage.service.sessions() as session:
        return bool(
            await session.scalar(
                text("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted")
            )
        )


@asynccontextmanager
async def made(service: Service, tell: Tell = lambda *_: None) -> AsyncIterator[Rebuild]:
    """A rebuild in this process, which can be looked at between its steps."""
    async with rebuilding(service, Choices(), tell) as rebuild:
        yield rebuild


class Killable:
    """A rebuild in a process of its own."""

    def __init__(self, live: Service) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": live.settings.database_url.replace("+asyncpg", ""),
            "KAFKA_BOOTSTRAP_SERVERS": live.settings.kafka_bootstrap_servers,
            "PUBLIC_URL": "https://reports.example",
            "SECRET_KEY": "r" * 32,
            "PYTHONPATH": str(ROOT),
        }

    async def start(self) -> None:
        """Begin, or go on."""
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.reports", "rebuild"),
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def kill(self) -> None:
        """End it as the power would."""
        assert self.process.returncode is None, (await self.end())[1]
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def end(self) -> tuple[int | None, str]:
        """Wait for its end and tell its exit code and what it said."""
        output, _ = await self.process.communicate()
        return self.process.returncode, output.decode()
