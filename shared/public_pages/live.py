"""News for open pages: who has a page open hears that what it shows changed, whichever replica took the change.

PostgreSQL tells a channel of it in the transaction that made the change; one connection of each replica listens, and
wakes those of its own readers whom it concerns. They are sent no content: the page then asks for itself anew. A reader
holds no connection to the database.

A notification is a JSON list: the key of what changed, one text or more and its account first, and then its revision, a
number that grows, or null where changes are not numbered.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import asyncpg
from litestar.response.sse import ServerSentEventMessage
from prometheus_client import Gauge

from shared.chassis.clock import Clock
from shared.chassis.database import Sessions

HEARTBEAT_SECONDS = 15.0
"""Between signs of life to a reader, which keep proxies from hanging up, and to the database."""

LONGEST_SECONDS = 900.0
"""Then a reader must come again, and what lets it in is looked at again."""

RETRY_MS = (2000, 8000)
"""When a browser comes back whose stream ended: at random in between, since a lost connection ends all of them."""

MOST = 1000
"""Readers of this replica. Who comes when there are so many looks for news by itself, every minute."""

READERS = Gauge("closeloop_live_readers", "Open pages that are told of news as it happens.")


@dataclass(eq=False)
class _Reader:
    """An open page; `revision` is the newest that there is news of."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    revision: int = 0
    dismissed: bool = False


class Live:
    """The readers of this replica, and who tells them what comes through `channel`; `most_of_one` look at one thing."""

    def __init__(self, channel: str, *, most_of_one: int) -> None:
        self._channel = channel
        self.most_of_one = most_of_one
        self._readers: defaultdict[tuple[str, ...], set[_Reader]] = defaultdict(set)
        self.listening = False

    def has_room(self, *key: str) -> bool:
        """Whether one more reader of what has this key would be told, and there are not too many."""
        total = sum(len(readers) for readers in self._readers.values())
        return self.listening and total < MOST and len(self._readers.get(key, ())) < self.most_of_one

    async def news(
        self, *key: str, since: int, newest: Callable[[], Awaitable[int]], event: str = "news"
    ) -> AsyncIterator[ServerSentEventMessage]:
        """Tell a reader of every revision after `since`, until they leave, the time is up or the service stops.

        `newest` tells the revision there is by now: what happened before we listened for this reader. Changes that are
        not numbered are counted from there.
        """
        loop = asyncio.get_running_loop()
        reader, ends_at = _Reader(), loop.time() + LONGEST_SECONDS
        readers = self._readers[key]
        readers.add(reader)
        READERS.inc()
        try:
            yield ServerSentEventMessage(data=None, retry=random.randint(*RETRY_MS))  # noqa: S311 - jitter
            reader.revision = max(reader.revision, await newest())
            while not reader.dismissed and loop.time() < ends_at:
                if reader.revision > since:
                    since = reader.revision
                    yield ServerSentEventMessage(data=str(since), event=event, id=since)
                try:
                    await asyncio.wait_for(reader.woken.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ServerSentEventMessage(data=None, comment="still here")
                reader.woken.clear()
        finally:
            READERS.dec()
            readers.discard(reader)
            if not readers:
                self._readers.pop(key, None)

    async def listen(self, sessions: Sessions, _: Clock) -> None:
        """Listen until the connection ends. Readers then come again: what they missed is told to them then."""
        async with sessions() as session:
            connection = await session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            raw = cast(asyncpg.Connection, (await connection.get_raw_connection()).driver_connection)
            ended = asyncio.Event()
            raw.add_termination_listener(lambda _: ended.set())
            try:
                await raw.add_listener(self._channel, self._wake)
                self.listening = True
                while not ended.is_set():
                    await raw.execute("SELECT 1", timeout=HEARTBEAT_SECONDS)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), HEARTBEAT_SECONDS)
            finally:
                self.listening = False
                self.dismiss()
                await connection.invalidate()  # it listens; nobody else is to have it

    def dismiss(self) -> None:
        """Let all readers go."""
        for readers in self._readers.values():
            for reader in readers:
                reader.dismissed = True
                reader.woken.set()

    def _wake(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        *key, revision = json.loads(str(payload))
        for reader in self._readers.get(tuple(key), ()):
            reader.revision = reader.revision + 1 if revision is None else max(reader.revision, revision)
            reader.woken.set()
