"""The reports service on stage."""

from collections.abc import AsyncIterator

import pytest_asyncio

from deploy.postgres.embedded import PostgresServer
from services.reports import app
from services.reports.settings import Settings
from tests.stage import Stage, staged


@pytest_asyncio.fixture(scope="session")
async def reports_stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    """The service, once for all tests."""
    async with staged(
        postgres_server, name="reports", settings=Settings, app=app, public_url="https://reports.example"
    ) as stage:
        yield stage


@pytest_asyncio.fixture
async def reports(reports_stage: Stage) -> Stage:
    """The service with empty tables, at noon, and a browser that has no cookies."""
    await reports_stage.clear()
    reports_stage.client.cookies.clear()
    return reports_stage
