"""The reports service on stage, and somebody at its terminal."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from deploy.postgres.embedded import PostgresServer
from services.reports import app
from services.reports.__main__ import main
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


class Operator:
    """Somebody at a terminal, with the environment of the service on stage."""

    async def types(self, *words: str) -> Result:
        """Type a command and wait for its end. In a thread: commands bring a loop of their own."""
        return await asyncio.to_thread(CliRunner().invoke, main, words)


@pytest.fixture
def operator(reports: Stage, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Who runs the service."""
    url = reports.service.settings.database_url.replace("postgresql+asyncpg://", "postgresql://")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("PUBLIC_URL", "https://reports.example")
    monkeypatch.setenv("COLUMNS", "200")
    return Operator()
