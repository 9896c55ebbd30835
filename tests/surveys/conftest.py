"""The surveys service on stage."""

from collections.abc import AsyncIterator

import pytest_asyncio

from deploy.postgres.embedded import PostgresServer
from services.surveys import app
from services.surveys.settings import Settings
from tests.stage import Stage, staged


@pytest_asyncio.fixture(scope="session")
async def surveys_stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    """The service, once for all tests."""
    async with staged(
        postgres_server,
        name="surveys",
        settings=Settings,
        app=app,
        public_url="https://surveys.example",
        secret_key="k" * 32,
    ) as stage:
        yield stage


@pytest_asyncio.fixture
async def surveys(surveys_stage: Stage) -> Stage:
    """The service with empty tables, at noon."""
    await surveys_stage.clear()
    return surveys_stage
