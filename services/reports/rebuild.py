"""Make the read model anew from Kafka's log, beside the live one, and put it in its place.

Nobody who reads is kept waiting: pages and API read the old tables until, in one short transaction, the new ones have
their names. Events go on being taken meanwhile. A rebuild that is killed at any moment goes on where it was when it is
run again: what a batch of records did, and how far the log is read, are in the shadow; a record read twice has one
effect.

Why nothing is missing after the swap. It happens while no consumer can change the read model (`ONLY_WRITER`). Whatever
a consumer has committed by then came from a record below the log's end, so the shadow, read up to an end that was asked
for after that, has it. What a consumer has read and not committed it repeats on the new tables.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import cast

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.reports import verification
from services.reports.event_log import EventLog, Places, open_log
from services.reports.rollup import ONLY_WRITER
from services.reports.shadow import Comparison, Shadow, Sizes
from services.reports.tables import Table
from services.reports.terminal import Tell
from services.reports.verification import Difference
from shared.chassis.dead_letters import DeadLetter, TooManyDeadLetters
from shared.chassis.envelope import Record
from shared.chassis.kafka import Consumers
from shared.chassis.lifecycle import Service
from shared.chassis.migrations import drift

NEARLY = 500
"""Records that may be left to read when the consumers are asked to wait."""

STANDSTILL_SECONDS = 5
"""How long consumers wait at most, each time the swap is tried."""

_LOCK = text("SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ', rebuild', 0))")
_LOCK_NOT_AVAILABLE, _DEADLOCK = "55P03", "40P01"


class Refused(Exception):
    """Why the read model is not rebuilt, or not put in its place. For people."""


class LettersLost(Refused):
    """Records that had their effect once would have none: a handler may be broken, or they were purged."""

    def __init__(self, letters: Sequence[DeadLetter]) -> None:
        super().__init__(
            "These records of the log have no effect, and are not among this service's dead letters. A handler may be"
            " broken; nothing was swapped. If they may stay without effect: --accept-dead-letters."
        )
        self.letters = letters


class RollupDisagrees(Refused):
    """The rebuilt rollup is not what the rebuilt ratings come to."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        super().__init__("The rebuilt rollup disagrees with the rebuilt ratings; nothing was swapped. Try --restart.")
        self.differences = differences


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What an operator may say to a rebuild."""

    restart: bool = False
    accept_truncated_log: bool = False
    accept_dead_letters: bool = False


class Rebuild:
    """One rebuild, from the first record to the swap. `live` is a connection that nobody else uses."""

    def __init__(
        self, service: Service, choices: Choices, tell: Tell, *, live: AsyncConnection, shadow: Shadow, log: EventLog
    ) -> None:
        self._live = live
        self._shadow = shadow
        self._log = log
        self._choices = choices
        self._tell = tell
        self._consumers = Consumers(
            service.events,
            sessions=shadow.sessions,
            clock=service.clock,
            provided=service.provided,
            dead_letter_limit=sys.maxsize if choices.accept_dead_letters else service.settings.dead_letter_limit,
        )
        self._first: Places = {}
        self._places: Places = {}
        """Up to where records have had their effect."""

    async def begin(self) -> None:
        """Go to where the log is to be read from. Raises Refused when the log does not have it."""
        self._first = await self._log.first()
        end = await self._log.end()
        await self._shadow.prepare(restart=self._choices.restart)
        places = dict.fromkeys(self._log.partitions, 0) | await self._shadow.places()
        for partition in self._log.partitions:
            name = f"{partition.topic}, partition {partition.partition}"
            if places[partition] > end[partition]:
                raise Refused(f"{name}: an earlier rebuild read further than the log goes now. Begin again: --restart.")
            if places[partition] < self._first[partition]:
                if not self._choices.accept_truncated_log:
                    raise Refused(
                        f"{name}: the log begins at offset {self._first[partition]}, so older records would be missing."
                        " If they may be missing: --accept-truncated-log."
                    )
                places[partition] = self._first[partition]
        self._log.go_to(places)
        self._places = places

    async def fill(self) -> None:
        """Read the log until little is left, and make sure of what comes of it. Raises Refused."""
        await self._catch_up()
        self._tell("Preparing the tables", 0, 0, "")
        await self._shadow.tidy()
        await self._make_sure()
        await self._catch_up()

    async def compare(self) -> list[Comparison]:
        """Compare what was rebuilt with what is live, both as of one moment. The log is read to its end before."""
        async with self._shadow.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with self._live.begin():
                await self._live.execute(ONLY_WRITER)
                await self._read_to(await self._log.end())
                await self._take_what_waited()
                await connection.execute(text("SELECT"))  # the moment, before consumers go on
            self._tell("Comparing", 0, 0, "")
            return await self._shadow.compare(connection)

    async def swap(self) -> list[Sizes]:
        """Put what was rebuilt in its place, and tell both their sizes. Tried until nobody reads for long meanwhile."""
        sizes = await self._shadow.sizes()
        tries = 0
        while not await self._try_to_swap():
            tries += 1
            self._tell("Waiting for those who read", tries, 0, "tries")
            await asyncio.sleep(min(5.0, 0.2 * tries))
            await self._catch_up()
        return sizes

    async def _try_to_swap(self) -> bool:
        try:
            async with self._live.begin():
                await self._live.execute(text(f"SET LOCAL lock_timeout = '{STANDSTILL_SECONDS}s'"))
                await self._live.execute(ONLY_WRITER)
                async with asyncio.timeout(STANDSTILL_SECONDS):
                    await self._read_to(await self._log.end())
                    await self._take_what_waited()
                await self._shadow.take_the_place(self._live)
        except TimeoutError:
            return False
        except DBAPIError as failure:
            if getattr(failure.orig, "sqlstate", None) in {_LOCK_NOT_AVAILABLE, _DEADLOCK}:
                return False
            raise
        return True

    async def _catch_up(self) -> None:
        """Read until at most NEARLY records are left."""
        end = await self._log.end()
        while True:
            await self._read_to(end)
            await self._take_what_waited()
            read, end = end, await self._log.end()
            if sum(end.values()) - sum(read.values()) <= NEARLY:
                return

    async def _read_to(self, end: Places) -> None:
        """Give every record below `end` its effect in the shadow."""
        first = sum(self._first.values())
        while True:
            self._tell("Reading the log", sum(self._places.values()) - first, sum(end.values()) - first, "records")
            if all(self._places[partition] >= end[partition] for partition in end):
                return
            try:
                for topic, records in (await self._log.read()).items():
                    await self._take(topic, records)
            except BaseException:
                self._log.go_to(self._places)  # what was read had no effect, and is to be read again
                raise
            places = await self._log.places()
            await self._shadow.save({each: places[each] for each in places if places[each] != self._places[each]})
            self._places = places

    async def _take(self, topic: str, records: Sequence[Record]) -> None:
        try:
            await self._consumers.by_topic[topic].take(records)
        except TooManyDeadLetters:
            raise LettersLost(await self._shadow.lost_letters()) from None

    async def _take_what_waited(self) -> None:
        """Run records whose account was unknown when they were read and is known now."""
        letters = await self._shadow.letters_of_known_accounts()
        for topic, some in groupby(letters, key=lambda letter: letter.topic):
            await self._take(topic, [cast(Record, letter) for letter in some])
        await self._shadow.expect_nothing_more_of(letters)

    async def _make_sure(self) -> None:
        """Raise Refused when records have lost their effect, or the rollup disagrees with the ratings."""
        lost = await self._shadow.lost_letters()
        if lost and not self._choices.accept_dead_letters:
            raise LettersLost(lost)
        found: list[Difference] = []
        async with verification.snapshot(self._shadow.engine) as connection:
            accounts = await verification.accounts(connection)
            for done, account_id in enumerate(accounts):
                self._tell("Verifying", done, len(accounts), "accounts")
                found += await verification.differences(connection, account_id)
        if found:
            raise RollupDisagrees(found)


@asynccontextmanager
async def rebuilding(service: Service, choices: Choices, tell: Tell) -> AsyncIterator[Rebuild]:
    """Begin a rebuild, or go on with one, as the only one there is. Raises Refused, LogUnusable and NotOurs."""
    topics = [event.topic for event in service.events.handlers if event not in service.events.awaited]
    if await drift(service.settings.database_url, Table.metadata):
        raise Refused("The database is not at this release's schema. Run migrate first.")
    async with AsyncExitStack() as opened:
        live = await opened.enter_async_context(service.engine.connect())
        if not await live.scalar(_LOCK):
            raise Refused("Another rebuild is running.")
        # The lock ends with the connection, whatever state that is in by then.
        opened.push_async_callback(live.invalidate)
        shadow = await Shadow.beside(live, service.settings.database_url)
        opened.push_async_callback(shadow.engine.dispose)
        await live.commit()
        log = await opened.enter_async_context(open_log(service.settings.cluster, topics))
        rebuild = Rebuild(service, choices, tell, live=live, shadow=shadow, log=log)
        await rebuild.begin()
        yield rebuild
