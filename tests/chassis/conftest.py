"""The counting service on stage."""

from collections.abc import AsyncIterator

import pytest_asyncio

from deploy.postgres.embedded import PostgresServer
from shared.chassis.settings import Settings
from tests.chassis import counting as app
from tests.stage import Stage, staged


@pytest_asyncio.fixture(scope="session")
async def counting_stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    """The counting service, once for all tests."""
    async with staged(postgres_server, name="counting", settings=Settings, app=app) as stage:
        async with stage.service.engine.begin() as connection:
            await connection.run_sync(app.Table.metadata.create_all)
        yield stage


@pytest_asyncio.fixture
async def counting(counting_stage: Stage) -> Stage:
    """The counting service with empty tables."""
    await counting_stage.clear()
    app.failing.clear()
    app.batches.clear()
    return counting_stage
