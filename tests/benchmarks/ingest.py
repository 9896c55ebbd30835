"""Ingest: from Kafka into the read model, beside loops as bare as can be that read the same log."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

import asyncpg
import click
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.reports.event_log import open_log
from services.reports.terminal import Tell
from services.reports.verification import TABLES
from shared.chassis.cluster import Cluster
from shared.contracts import SurveyCreated, SurveyExpired, SurveySubmitted
from tests.benchmarks.data import Account, events, ratings
from tests.benchmarks.measuring import Ratio
from tests.benchmarks.system import Database, Reports, forget_offsets
from tests.reports.log import Log
from tests.stage import delivery_of

BARE_BATCH = 5000
HEARD = (SurveyCreated, SurveySubmitted, SurveyExpired)
GOAL = 0.5
"""The least share of the bare loop's speed that consumers are to reach."""

_BARE = """
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
CREATE TABLE bare.ratings (
    account_id text, survey_id text, ticket_id text, subject text, requester_name text, agent_id text, agent_name text,
    priority text, channel text, created_at timestamptz, score int, comment text, at timestamptz,
    PRIMARY KEY (account_id, survey_id)
);
CREATE TABLE bare.daily (
    account_id text, day date, agent_id text, n int, total int, PRIMARY KEY (account_id, day, agent_id)
);
CREATE TABLE bare.copied (LIKE bare.ratings);
CREATE TABLE bare.places (topic text, partition int, next_offset bigint, PRIMARY KEY (topic, partition));
"""
_COLUMNS = (
    *("account_id", "survey_id", "ticket_id", "subject", "requester_name", "agent_id", "agent_name"),
    *("priority", "channel", "created_at", "score", "comment", "at"),
)
_UPSERT = f"""
WITH changed AS (
    INSERT INTO bare.ratings AS rating ({", ".join(_COLUMNS)})
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::timestamptz[], $11::int[], $12::text[], $13::timestamptz[]
    )
    ON CONFLICT (account_id, survey_id) DO UPDATE
    SET score = coalesce(rating.score, excluded.score), comment = excluded.comment, at = excluded.at
    RETURNING new.account_id, new.at::date AS day, new.agent_id, new.score, old.score AS before
)
INSERT INTO bare.daily AS daily
SELECT account_id, day, agent_id, count(*), sum(score) FROM changed
WHERE score IS NOT NULL AND before IS NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (account_id, day, agent_id) DO UPDATE SET n = daily.n + excluded.n, total = daily.total + excluded.total
"""
_SAVE = """
INSERT INTO bare.places SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""

Write = Callable[[asyncpg.Connection, list[tuple]], Awaitable[Any]]


@dataclass
class Ingest:
    """Seconds an event, by round."""

    consumers: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    copy: list[float] = field(default_factory=list)
    rebuild: list[float] = field(default_factory=list)

    def rows(self) -> list[list[object]]:
        """Write it as lines of the table."""
        told: list[list[object]] = []
        for name in ("consumers", "rebuild", "copy", "bare"):
            seconds = getattr(self, name)
            share = Ratio.of(self.bare[: len(seconds)], seconds)
            goal = ("yes" if share.middle >= GOAL else "NO") if name == "consumers" else ""
            told.append([_NAMES[name], str(share), goal, round(1 / median(seconds))])
        return told


_NAMES = {
    "consumers": "the service's consumers",
    "rebuild": "services.reports rebuild, whole command",
    "copy": "bare loop, COPY without index",
    "bare": "bare loop: decode, upsert, rollup",
}
INGEST_COLUMNS = ("Kafka → PostgreSQL", "speed : bare loop", "≥ 0.5", "events/s")


class Inexact(AssertionError):
    """What was taken is not what was told."""


async def publish(kafka: str, accounts: Sequence[Account], count: int, until: datetime, tell: Tell) -> int:
    """Publish about so many events of surveys, and tell how many. Raises ClickException where there are others."""
    async with open_log(Cluster(kafka), [event.topic for event in HEARD]) as known:
        if any((await known.end()).values()):
            raise click.ClickException(f"There are records in Kafka at {kafka}. Give one whose topics are empty.")
    log = Log(kafka)
    await log.start()
    published = 0
    for rows in ratings(round(count / 1.9), accounts, until, seed=77):
        told = list(events(rows))
        for start in range(0, len(told), 1000):
            batch = told[start : start + 1000]
            # Ids that grow with time, as our relay's do.
            await log.tells(
                *(delivery_of(event, event_id=f"{published + number:012}") for number, event in enumerate(batch))
            )
            published += len(batch)
            tell("Publishing", published, count, "events")
    await log.stop()
    return published


async def ingest(database: Database, folder: Any, count: int, rounds: int, tell: Tell) -> Ingest:
    """Take the log's events in each way, in turns; then all of them twice more. Raises Inexact."""
    measured = Ingest()
    contenders = {"copy": _copy, "bare": _upsert}  # in this order: what the bare loop made is looked at afterwards
    for number in range(rounds):
        for name, write in contenders.items():
            tell(f"Taking events, {_NAMES[name]}", number, rounds, "rounds")
            await database.admin.execute(_BARE)
            getattr(measured, name).append(await _bare(database, count, write))
        tell("Taking events, the service's consumers", number, rounds, "rounds")
        await database.admin.execute(f"TRUNCATE {', '.join(TABLES)}, inbox")
        measured.consumers.append(await _consumed(database, folder, count))
    await _check(database, "taken once")
    once = await _figures(database)
    tell("Taking all of it again", 0, 0, "")
    await _consumed(database, folder, count)
    await database.admin.execute("TRUNCATE inbox")
    await _consumed(database, folder, count)
    await _check(database, "taken three times")
    if await _figures(database) != once:
        raise Inexact("events that came again had an effect")
    tell("Rebuilding", 0, 0, "")
    begun = time.perf_counter()
    await _operate(database, "rebuild")
    measured.rebuild.append((time.perf_counter() - begun) / count)
    await _check(database, "rebuilt")
    if await _figures(database) != once:
        raise Inexact("a rebuild comes to something else")
    return measured


async def _consumed(database: Database, folder: Any, count: int) -> float:
    """Have the service take the whole log, and tell the seconds an event."""
    await asyncio.to_thread(forget_offsets, database.kafka)
    reports = Reports(database, folder)
    try:
        return await asyncio.to_thread(reports.seconds_a_record, count)
    finally:
        reports.stop()


async def _bare(database: Database, count: int, write: Write) -> float:
    """Read the whole log and write it, a transaction for what one poll gave; tell the seconds an event."""
    decoders = {event.topic: msgspec.json.Decoder(event) for event in HEARD}
    async with open_log(Cluster(database.kafka), decoders) as log:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=database.kafka, enable_auto_commit=False, isolation_level="read_committed"
        )
        await consumer.start()
        consumer.assign(log.partitions)
        await consumer.seek_to_beginning()
        taken, begun = 0, time.perf_counter()
        while taken < count:
            found = await consumer.getmany(timeout_ms=100, max_records=BARE_BATCH)
            by_topic: dict[str, list[tuple]] = {}
            places: dict[TopicPartition, int] = {}
            for place, records in found.items():
                decode = decoders[place.topic].decode
                by_topic.setdefault(place.topic, []).extend(_facts(decode(record.value)) for record in records)
                places[place] = records[-1].offset + 1
                taken += len(records)
            async with database.admin.transaction():
                for facts in by_topic.values():
                    await write(database.admin, facts)
                await database.admin.execute(
                    _SAVE, [place.topic for place in places], [place.partition for place in places], [*places.values()]
                )
        seconds = time.perf_counter() - begun
        await consumer.stop()
    return seconds / count


def _facts(event: Any) -> tuple:
    survey, agent = event.survey, event.survey.agent
    return (
        event.account_id,
        survey.survey_id,
        survey.ticket_id,
        survey.subject,
        survey.requester_name,
        agent.agent_id if agent else "",
        agent.name if agent else "",
        survey.priority,
        survey.channel,
        survey.created_at,
        getattr(event, "score", None),
        getattr(event, "comment", None),
        getattr(event, "submitted_at", None),
    )


async def _upsert(connection: asyncpg.Connection, facts: list[tuple]) -> None:
    await connection.execute(_UPSERT, *map(list, zip(*facts, strict=True)))


async def _copy(connection: asyncpg.Connection, facts: list[tuple]) -> None:
    await connection.copy_records_to_table("copied", schema_name="bare", records=facts, columns=_COLUMNS)


async def _figures(database: Database) -> Any:
    """Give the read model's figures: every score given, by account, and the rollup as a whole."""
    return await database.admin.fetch(
        "SELECT account_id, count(*), count(score), sum(score) FROM ratings GROUP BY 1"
        " UNION ALL SELECT md5(string_agg(daily::text, ',' ORDER BY account_id, day, agent_id)), 0, 0, 0"
        " FROM csat_daily AS daily ORDER BY 1"
    )


async def _check(database: Database, when: str) -> None:
    """Hold the read model against the bare loop's, and have the product verify itself. Raises Inexact."""
    theirs, ours = [
        await database.admin.fetchrow(f"SELECT count(*), count(score), sum(score) FROM {table}")
        for table in ("bare.ratings", "ratings")
    ]
    if theirs != ours:
        raise Inexact(f"{when}: {ours} instead of {theirs}")
    await _operate(database, "verify")


async def _operate(database: Database, command: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.reports", command],
        env=database.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Inexact(f"{command}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
