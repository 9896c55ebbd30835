"""Changes are told to whoever reads figures: over real HTTP, on every replica, to the account alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import func, select, text

from services.reports import app, handlers
from services.reports.rollup import CHANNEL
from services.reports.settings import Settings
from services.reports.shadow import SCHEMA, Shadow
from services.reports.tables import CsatDaily
from shared.contracts import RequesterErased
from tests.builders import NOON, an_account
from tests.portal.test_live import PATIENCE_SECONDS, Page, listening
from tests.reports.told import a_key, a_survey, answered, ask, created, expired, submitted
from tests.stage import Stage

ANOTHER = "bolt"


@pytest_asyncio.fixture
async def replicas(reports: Stage) -> AsyncIterator[tuple[str, str]]:
    """Two processes of reports on one database, by their addresses. What is heard is heard by neither of them."""
    await reports.hears(an_account(), an_account(account_id=ANOTHER))
    async with replica(reports) as one, replica(reports) as other, listening(one) as first, listening(other) as second:
        yield first, second


@asynccontextmanager
async def replica(reports: Stage) -> AsyncIterator[Stage]:
    """Another process of reports on the same database."""
    service = app.create_service(Settings.model_validate(reports.service.settings.model_dump()), reports.clock)
    other = Stage(service, app.create_app(service), reports.clock)
    try:
        yield other
    finally:
        await other.close()


@asynccontextmanager
async def opened(url: str, key: str) -> AsyncIterator[Page]:
    """Open the stream as a program does, past the event that it begins with."""
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(PATIENCE_SECONDS, read=None)) as client,
        client.stream("GET", f"{url}/api/v1/csat/live", headers={"Authorization": f"Bearer {key}"}) as response,
    ):
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        page = Page(response)
        assert "retry" in await page.next()
        assert (await page.next())["event"] == "changed"
        yield page


async def test_a_rating_is_told_on_every_replica_when_it_commits(reports: Stage, replicas: tuple[str, str]) -> None:
    """So is whatever else figures count."""
    key = await a_key(reports)
    async with opened(replicas[0], key) as first, opened(replicas[1], key) as second:
        for event in (created(), answered("s-2", 4), expired(a_survey("s-3"))):
            await reports.hears(event)
            assert [(await page.next())["event"] for page in (first, second)] == ["changed"] * 2


async def test_what_changes_no_figure_and_what_is_anothers_is_not_told(
    reports: Stage, replicas: tuple[str, str]
) -> None:
    """Repeats, other accounts, and what was rolled back: the next thing that is told is the next that counts."""
    await reports.hears(answered("s-1", 5))
    async with opened(replicas[0], await a_key(reports)) as page:
        async with heard(reports) as channel:
            await reports.hears(answered("s-1", 5), an_account(version=2), answered("s-9", 1, account_id=ANOTHER))
            await reports.hears(answered("s-2", 5), answered("s-3", 5))
            assert (await page.next())["event"] == "changed"
        assert channel == [[ANOTHER, None], ["acme", None]]


async def test_an_erasure_is_told(reports: Stage, replicas: tuple[str, str]) -> None:
    """It moves no figure, but pages that are open show the words."""
    await reports.hears(submitted(a_survey("s-1", requester_id="rita"), comment="Mine."))
    async with heard(reports) as channel:
        await reports.hears(
            RequesterErased(account_id="acme", requester_id="rita", request_id="e-1", erased_at=reports.clock())
        )

    assert channel == [["acme", None]]


async def test_a_batch_is_told_once(reports: Stage, replicas: tuple[str, str]) -> None:
    """However many ratings are in it, and each account for itself."""
    async with heard(reports) as channel:
        await reports.hears(*(answered(f"s-{n}", 5, account_id=whose) for n in range(5) for whose in ("acme", ANOTHER)))

    assert sorted(channel) == [["acme", None], [ANOTHER, None]]


async def test_who_reads_without_a_key_or_where_nobody_listens_is_sent_away(reports: Stage) -> None:
    """401 as everywhere; 503 with the time to wait."""
    await reports.hears(an_account())

    assert (await reports.client.get("/api/v1/csat/live")).status_code == 401
    refused = await ask(reports, "/live")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "30"
    assert "readers" in refused.json()["detail"]


async def test_a_rebuild_tells_nothing(reports: Stage) -> None:
    """What is made anew in the shadow has not happened, and pages would ask for themselves for hours."""
    await reports.hears(an_account())
    shadow = Shadow(reports.service.settings.database_url, live="public", search_path="public")
    await shadow.prepare(restart=True)
    async with heard(reports) as channel:
        async with shadow.sessions.begin() as session:
            await handlers.keep_ratings([answered("s-1", 5)], session, NOON)
            assert await session.scalar(select(func.count()).select_from(CsatDaily)) == 1
            await session.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
        await shadow.engine.dispose()

    assert channel == []


async def test_when_a_rebuilt_read_model_takes_the_place_everybody_is_told(reports: Stage) -> None:
    """Its figures may be others."""
    await reports.hears(an_account(), an_account(account_id=ANOTHER))
    shadow = Shadow(reports.service.settings.database_url, live="public", search_path="public")
    await shadow.prepare(restart=True)
    async with heard(reports) as channel, reports.service.engine.begin() as live:
        await shadow.take_the_place(live)
    await shadow.engine.dispose()

    assert sorted(channel) == [["acme", None], [ANOTHER, None]]


@asynccontextmanager
async def heard(reports: Stage) -> AsyncIterator[list[Any]]:
    """Listen to the channel; after the block, all that was told in it is there."""
    told: list[Any] = []
    async with reports.service.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.add_listener(CHANNEL, lambda *told_: told.append(json.loads(told_[-1])))
        yield told
        async with asyncio.timeout(PATIENCE_SECONDS):
            await connection.execute(text(f"NOTIFY {CHANNEL}, '\"the end\"'"))
            while "the end" not in told:
                await asyncio.sleep(0.01)
        told.remove("the end")
        await connection.invalidate()
