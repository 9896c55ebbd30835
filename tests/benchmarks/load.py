"""Loading: ratings through the consumers' own path, beside a COPY of the same into a table without any index."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from statistics import median
from typing import Any, get_args

from sqlalchemy.ext.asyncio import create_async_engine

from services.reports import verification
from services.reports.rollup import KEYS
from services.reports.satisfaction import Reason
from services.reports.terminal import Tell
from shared.chassis.database import async_driver
from shared.chassis.kafka import BULK_RECORDS
from shared.chassis.tenancy import of_all_accounts
from shared.contracts import Agent, Event
from tests.benchmarks.data import COLUMNS, YEARS, Account, Rows, outcomes, ratings, records
from tests.benchmarks.measuring import Ratio
from tests.benchmarks.system import Database
from tests.builders import a_ticket
from tests.reports.told import skipped
from tests.stage import Delivery, delivery_of

LOAD_COLUMNS = ("a batch at a time", "COPY : consumers", "consumers, ratings/s", "COPY, ratings/s")


@dataclass
class Load:
    """Seconds a rating, by round."""

    taken: list[float] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)
    count: int = 0

    def row(self, name: str) -> list[object]:
        """Write it as a line of the table."""
        speeds = [round(1 / median(seconds)) for seconds in (self.taken, self.copied)]
        return [name, str(Ratio.of(self.taken, self.copied)), *speeds]


async def load(
    database: Database,
    accounts: Sequence[Account],
    count: int,
    until: datetime,
    *,
    seed: int,
    rounds: int,
    tell: Tell,
) -> Load:
    """Add ratings over two years. The first batches, one a round, by the consumers, and measured.

    The others, for which consumers would take too long, are copied, and then counted as `verify --repair` does it.
    """
    batches = ratings(count, accounts, until, seed=seed)
    what = f"Loading {count:,} ratings"
    tell(what, 0, count, "ratings")
    measured = await _measured(database, batches, rounds)
    service = database.service()
    await database.takes(service.consumers, _skipped(accounts, min(count // 200, 2000), until, seed))
    done = measured.count
    async with _without_indexes(database):
        copying: asyncio.Task[None] | None = None
        while rows := await asyncio.to_thread(next, batches, None):  # a thread makes them while PostgreSQL takes others
            if copying:
                await copying
            copying = asyncio.create_task(_copy(database, rows))
            done += len(rows["survey_id"])
            tell(what, done, count, "ratings")
        if copying:
            await copying
    if done > measured.count:
        await _count(database, accounts, tell)
    await service.disconnect()
    return measured


async def _count(database: Database, accounts: Sequence[Account], tell: Tell) -> None:
    # Without the service's limit of 30 seconds a statement: the largest account takes longer.
    engine = create_async_engine(async_driver(database.url))
    await database.admin.execute(f"TRUNCATE {', '.join(KEYS)}")
    for number, account in enumerate(accounts):
        tell("Counting", number, len(accounts), "accounts")
        async with of_all_accounts(engine).begin() as session:
            await verification.recount(session, account.account_id)
    await engine.dispose()


@asynccontextmanager
async def _without_indexes(database: Database) -> AsyncIterator[None]:
    """Do without all but the primary key for a while, and make the others at once when all is there."""
    indexes = await database.admin.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'ratings' AND schemaname = 'public'"
        " AND indexname <> 'pk_ratings'"
    )
    for name, _ in indexes:
        await database.admin.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        await database.admin.execute(definition)


async def _copy(database: Database, rows: Rows) -> None:
    await database.admin.copy_records_to_table("ratings", records=records(rows), columns=COLUMNS)


async def _measured(database: Database, batches: Iterator[Rows], rounds: int) -> Load:
    load = Load()
    service = database.service()
    await database.admin.execute("DROP TABLE IF EXISTS plain; CREATE TABLE plain (LIKE ratings INCLUDING GENERATED)")
    for _, rows in zip(range(rounds), batches, strict=False):
        told = [delivery_of(event, event_id=event.survey.survey_id) for event in outcomes(rows)]
        told.sort(key=lambda delivery: delivery.topic)
        size = len(told)
        load.count += size
        begun = time.perf_counter()
        for topic, deliveries in groupby(told, key=lambda delivery: delivery.topic):
            for batch in _in_batches(list(deliveries)):
                await service.consumers.by_topic[topic].take(batch)
        load.taken.append((time.perf_counter() - begun) / size)
        copied = records(rows)
        begun = time.perf_counter()
        await database.admin.copy_records_to_table("plain", records=copied, columns=COLUMNS)
        load.copied.append((time.perf_counter() - begun) / size)
    await database.admin.execute("DROP TABLE plain")
    await service.disconnect()
    return load


def _in_batches(deliveries: list[Delivery]) -> Iterator[list[Delivery]]:
    return (deliveries[start : start + BULK_RECORDS] for start in range(0, len(deliveries), BULK_RECORDS))


def _skipped(accounts: Sequence[Account], count: int, until: datetime, seed: int) -> list[Event]:
    """Some resolutions that led to no survey."""
    dice = random.Random(seed)
    told = []
    for number in range(count):
        account = dice.choice(accounts)
        agent_id, name = dice.choice(account.agents)
        agent = Agent(agent_id=agent_id, name=name, email=f"{agent_id}@desk.example")
        facts: dict[str, Any] = {
            "account_id": account.account_id,
            "ticket": a_ticket(ticket_id=f"K-{seed}-{number}", version=3, assignee=agent, last_replier=agent),
            "skipped_at": until - timedelta(seconds=dice.random() * YEARS.total_seconds()),
        }
        told.append(skipped(dice.choice(get_args(Reason)), **facts))
    return told
