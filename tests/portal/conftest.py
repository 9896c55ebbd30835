"""The portal on stage, and what its tests do over and over."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from deploy.postgres.embedded import PostgresServer
from services.portal import app
from services.portal.link import AccessLink
from services.portal.settings import Settings
from shared.contracts import Attachment, ReplyPublished
from tests.builders import a_reply_sent, a_ticket, an_account
from tests.captcha import solved_widget
from tests.stage import Stage, staged

KEY = "k" * 32
URL = "https://portal.example"


@pytest_asyncio.fixture(scope="session")
async def portal_stage(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """The service, once for all tests."""
    async with staged(
        postgres_server,
        name="portal",
        settings=Settings,
        app=app,
        public_url=URL,
        secret_key=KEY,
        attachments_url=tmp_path_factory.mktemp("attachments").as_uri(),
    ) as stage:
        yield stage


@pytest_asyncio.fixture
async def portal(portal_stage: Stage) -> Stage:
    """The service with empty tables, at noon."""
    await portal_stage.clear()
    return portal_stage


async def mailed(portal: Stage, *, attachments: tuple[Attachment, ...] = (), **ticket: object) -> str:
    """Have an agent's reply mailed in a ticket of Rita's and tell the path of its page."""
    told = a_ticket(**{"version": 2, **ticket})
    await portal.hears(an_account(), a_reply_sent(ticket=told, attachments=attachments))
    published = (await portal.said())[-1]
    assert isinstance(published, ReplyPublished)
    return published.link.removeprefix(URL)


async def link_of(portal: Stage, ticket_id: str = "T-1") -> str:
    """Tell the path of a ticket's page, mailed or not."""
    link = await portal.row(AccessLink, ticket_id=ticket_id)
    return portal.service.provided["links"].url(link).removeprefix(URL)


async def reply(portal: Stage, path: str, body: str = "It broke again.", **fields: str) -> httpx.Response:
    """Send the form with its captcha solved."""
    solved = await solved_widget(portal.client, f"{path}/challenge")
    return await portal.client.post(path, data={"body": body, **solved, **fields})


async def everything_stored(portal: Stage) -> str:
    """Every row of every table, as text, binary columns decoded."""
    async with portal.service.sessions() as session:
        tables = (await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        rows = [
            row for table in tables for row in await session.execute(text(f'SELECT * FROM "{table}" ORDER BY 1::text'))
        ]
    return "\n".join(
        f"{value!r} {value.decode(errors='replace')}" if isinstance(value, bytes) else str(value)
        for row in rows
        for value in row
    )
