"""News come to an open page by themselves: over real HTTP, on every replica, in the order they happened."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text, update

from deploy.server_process import free_port
from services.portal.link import AccessLink
from services.portal.live import CHANNEL, MOST_OF_A_TICKET
from services.portal.ticket import Ticket
from shared.public_pages import live
from shared.public_pages.live import Live
from tests.attacks.server import serving
from tests.attacks.test_rate_limits import replica
from tests.builders import a_reply_sent, a_ticket, a_ticket_updated
from tests.portal.conftest import KEY, URL, mailed, reply
from tests.product import until
from tests.stage import Stage

PATIENCE_SECONDS = 30  # a machine that others use as well may stand still for a while


@asynccontextmanager
async def listening(stage: Stage) -> AsyncIterator[str]:
    """A replica behind a real server that listens; tell its address."""
    listener: Live = stage.service.provided["live"]
    task = asyncio.create_task(listener.listen(stage.service.sessions, stage.clock))
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not listener.listening:
                await asyncio.sleep(0.01)
        async with serving(stage) as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest_asyncio.fixture
async def replicas(portal: Stage) -> AsyncIterator[tuple[str, str]]:
    """Two processes of the portal on one database, by their addresses."""
    async with replica(portal) as other, listening(portal) as first, listening(other) as second:
        yield first, second


class Page:
    """An open page's stream, read line by line."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, str]:
        """The next event or comment, by its fields; empty at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self._lines:
                if not line:
                    return fields
                name, _, value = line.partition(": ")
                fields[name] = value
        return fields

    async def news(self) -> int:
        """The next revision there is news of."""
        event = await self.next()
        assert event["event"] == "news", event
        assert event["id"] == event["data"]
        return int(event["id"])


@asynccontextmanager
async def opened(url: str, path: str, **headers: str | bytes) -> AsyncIterator[Page]:
    """Open a page's stream as its script does."""
    # No pool, no read timeout: a stream is quiet for as long as nothing happens.
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(PATIENCE_SECONDS, read=None)) as client,
        client.stream("GET", f"{url}{path}", headers=headers) as response,
    ):
        page = Page(response)
        if response.status_code == 200:
            shortest, longest = live.RETRY_MS
            assert shortest <= int((await page.next())["retry"]) <= longest
        yield page


async def test_a_reply_is_told_on_every_replica_when_it_commits(portal: Stage, replicas: tuple[str, str]) -> None:
    """Whichever replica took it; each event has the ticket's revision for its id."""
    path = await mailed(portal)
    async with opened(replicas[0], f"{path}/events") as first, opened(replicas[1], f"{path}/events") as second:
        await portal.hears(a_reply_sent(reply_id="a-2", body="And pegs, too."))
        after_reply = (await portal.row(Ticket)).revision
        assert [await first.news(), await second.news()] == [after_reply] * 2

        await reply(portal, path)
        after_answer = (await portal.row(Ticket)).revision
        assert after_answer > after_reply
        assert [await first.news(), await second.news()] == [after_answer] * 2

        await portal.client.post(f"{path}/solved")
        assert await first.news() == await second.news() > after_answer


async def test_what_is_no_news_is_not_told(portal: Stage, replicas: tuple[str, str]) -> None:
    """Other tickets, repeats, notes, older versions, and what was rolled back."""
    path = await mailed(portal)
    await mailed(portal, ticket_id="T-2")
    async with opened(replicas[0], f"{path}/events") as page:
        await portal.hears(
            a_reply_sent(),
            a_reply_sent(reply_id="n-1", visibility="internal"),
            a_reply_sent(ticket=a_ticket(ticket_id="T-2", version=3), reply_id="a-9"),
            a_ticket_updated(ticket=a_ticket(version=1, status="closed")),
        )
        async with portal.service.sessions() as session:
            ticket = await session.get_one(Ticket, ("acme", "T-1"))
            ticket.revision += 100
            await session.flush()
            await session.rollback()
        await portal.hears(a_ticket_updated(ticket=a_ticket(version=7, status="pending")))

        assert await page.news() == (await portal.row(Ticket, ticket_id="T-1")).revision


async def test_who_comes_back_is_told_what_they_missed(portal: Stage, replicas: tuple[str, str]) -> None:
    """By Last-Event-ID, which browsers send by themselves, else by the revision that the page was made of."""
    path = await mailed(portal)
    seen = (await portal.row(Ticket)).revision
    await portal.hears(a_reply_sent(reply_id="a-2"))
    now = (await portal.row(Ticket)).revision

    async with opened(replicas[0], f"{path}/events?since={seen}") as page:
        assert await page.news() == now
    async with opened(replicas[1], f"{path}/events?since={now}", **{"Last-Event-ID": str(seen)}) as page:
        assert await page.news() == now
    for odd in (b"", b"-1", b"1e3", b"9" * 30, b"\xb2", "²".encode(), b"x"):
        async with opened(replicas[1], f"{path}/events", **{"Last-Event-ID": odd}) as page:
            assert page.response.status_code == 200
            await portal.client.get(path)
    async with opened(replicas[0], f"{path}/events?since={now + 50}") as page:
        await portal.hears(a_reply_sent(reply_id="a-3"))
        assert await page.news() == now + 1


async def test_a_quiet_stream_shows_signs_of_life(
    portal: Stage, replicas: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies hang up on silence. After a while the reader is to come again, and its link is looked at again."""
    path = await mailed(portal)
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(live, "LONGEST_SECONDS", 0.2)
    async with opened(replicas[0], f"{path}/events") as page:
        assert await page.next() == {"": "still here"}
        while await page.next():
            pass


async def test_readers_hold_no_connection_to_the_database(portal: Stage, replicas: tuple[str, str]) -> None:
    """As many as a ticket may have, of several tickets, and the pool is free but for the one that listens."""
    paths = [await mailed(portal, ticket_id=f"T-{number}") for number in range(5)]
    streams = [opened(replicas[0], f"{path}/events") for path in paths for _ in range(MOST_OF_A_TICKET)]
    opened_ones = [await stream.__aenter__() for stream in streams]

    assert {page.response.status_code for page in opened_ones} == {200}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while portal.service.engine.pool.checkedout() > 1:
            await asyncio.sleep(0.01)
    assert live.READERS._value.get() == len(streams)
    for stream in streams:
        await stream.__aexit__(None, None, None)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while live.READERS._value.get():
            await asyncio.sleep(0.01)


async def test_too_many_readers_are_sent_away(
    portal: Stage, replicas: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one ticket, and in all: 503, and the page looks for itself. Who leaves makes room."""
    first, second = await mailed(portal), await mailed(portal, ticket_id="T-2")
    monkeypatch.setattr(portal.service.provided["live"], "most_of_one", 1)
    monkeypatch.setattr(live, "MOST", 2)

    async with opened(replicas[0], f"{first}/events"):
        async with opened(replicas[0], f"{first}/events") as one_too_many:
            assert one_too_many.response.status_code == 503
            assert one_too_many.response.headers["retry-after"] == "60"
        monkeypatch.setattr(live, "MOST", 1)
        async with opened(replicas[0], f"{second}/events") as one_too_many:
            assert one_too_many.response.status_code == 503
    async with asyncio.timeout(PATIENCE_SECONDS):
        while live.READERS._value.get():
            await asyncio.sleep(0.01)
    async with opened(replicas[0], f"{second}/events") as page:
        assert page.response.status_code == 200


async def test_dead_links_have_no_news(portal: Stage, replicas: tuple[str, str]) -> None:
    """A stream opens where the page would."""
    await mailed(portal)

    async with opened(replicas[0], "/t/unknown/events") as page:
        assert page.response.status_code == 404


async def test_when_thelistening_connection_ends_readers_come_again(portal: Stage) -> None:
    """Nothing is missed: none is given until somebody listens again, and then what happened is told."""
    path = await mailed(portal)
    listener: Live = portal.service.provided["live"]
    async with listening(portal) as url, opened(url, f"{path}/events") as page:
        async with portal.service.engine.connect() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND datname = current_database() AND query = :query"
                ),
                {"query": "SELECT 1"},
            )
        assert await page.next() == {}
        async with opened(url, f"{path}/events") as refused:
            assert refused.response.status_code == 503
    seen = (await portal.row(Ticket)).revision
    await portal.hears(a_reply_sent(reply_id="a-2"))
    assert not listener.listening

    async with listening(portal) as url, opened(url, f"{path}/events?since={seen}") as page:
        assert await page.news() == (await portal.row(Ticket)).revision


async def test_a_stop_ends_streams_at_once(portal: Stage) -> None:
    """SIGTERM: nobody waits for an answer that has no end, and the process is gone as soon as without readers."""
    path = await mailed(portal)
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": portal.service.engine.url.render_as_string(hide_password=False).replace("+asyncpg", ""),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PUBLIC_URL": URL,
        "SECRET_KEY": KEY,
        "PORT": str(port),
    }
    # Its clock is the real one: the link must still open by it.
    async with portal.service.sessions.begin() as session:
        await session.execute(update(AccessLink).values(expires_at=datetime(9000, 1, 1, tzinfo=UTC)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.portal", "run", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await until(partial(_is_served, f"http://127.0.0.1:{port}{path}/events"))
        async with opened(f"http://127.0.0.1:{port}", f"{path}/events") as page:
            assert page.response.status_code == 200
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert await page.next() == {}
            assert time.monotonic() - begun < 2
        assert await asyncio.wait_for(process.wait(), 15) == -signal.SIGTERM
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is_served(address: str) -> bool:
    try:
        async with httpx.AsyncClient() as client, client.stream("GET", address) as response:
            return response.status_code == 200
    except httpx.TransportError:
        return False


async def test_the_channel_carries_ids_and_a_number(portal: Stage) -> None:
    """Everybody who may connect to the database may listen: nothing that people wrote goes that way."""
    await mailed(portal)
    heard: list[str] = []
    async with portal.service.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.add_listener(CHANNEL, lambda *told: heard.append(told[-1]))
        await portal.hears(a_reply_sent(reply_id="a-2", body="Between us"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not heard:
                await asyncio.sleep(0.01)
        await connection.invalidate()

    assert [json.loads(told) for told in heard] == [["acme", "T-1", (await portal.row(Ticket)).revision]]
