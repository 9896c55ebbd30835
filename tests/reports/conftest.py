"""The reports service on stage, the service as it runs on a Kafka log, and somebody at its terminal."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from pydantic import SecretStr
from sqlalchemy import text

from deploy.kafka.native import NativeKafka
from deploy.kafka.topics import provision
from deploy.postgres.embedded import PostgresServer
from services.reports import app
from services.reports.__main__ import main
from services.reports.handlers import events
from services.reports.settings import Settings
from shared.chassis.cluster import Cluster
from shared.chassis.lifecycle import Service
from tests.reports.log import Log
from tests.stage import Stage, staged

KEY = "r" * 32


@pytest_asyncio.fixture(scope="session")
async def reports_stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    """The service, once for all tests."""
    async with staged(
        postgres_server,
        name="reports",
        settings=Settings,
        app=app,
        public_url="https://reports.example",
        secret_key=KEY,
        ticket_url="https://desk.example/{account}/{ticket}",
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
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")
    return Operator()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[NativeKafka]:
    """A broker whose topics may be cut. `kafka` is asked for so that CI fails, not skips, where there can be none."""
    broker = NativeKafka(tmp_path_factory.mktemp("log"))
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest_asyncio.fixture
async def log(broker: NativeKafka) -> AsyncIterator[Log]:
    """Topics with nothing in them."""
    log = Log(broker.bootstrap_servers)
    await log.forgets(*(event.topic for event in events.handlers))
    await provision(Cluster(broker.bootstrap_servers))
    await log.start()
    yield log
    await log.stop()


@pytest_asyncio.fixture
async def idle(reports: Stage, log: Log) -> AsyncIterator[Service]:
    """The service with a log that it does not hear."""
    settings = Settings(
        database_url=reports.service.settings.database_url.replace("+asyncpg", ""),
        kafka_bootstrap_servers=log.bootstrap_servers,
        kafka_session_timeout_ms=6000,
        public_url="https://reports.example",
        secret_key=SecretStr(KEY),
    )
    # A name of its own, for consumer groups that nobody had before.
    service = Service(
        name=f"reports-{uuid4().hex[:8]}",
        settings=settings,
        events=events,
        provided=reports.service.provided,
        clock=reports.clock,
        guarded=True,
        prepared=True,
    )
    yield service
    await service.disconnect()
    async with reports.service.sessions.begin() as session:
        await session.execute(text("DROP SCHEMA IF EXISTS shadow CASCADE"))


@pytest_asyncio.fixture
async def live(idle: Service) -> AsyncIterator[Service]:
    """The service as it runs: it hears the log."""
    async with idle.running(None):
        yield idle


@pytest.fixture
def at_the_terminal(operator: Operator, log: Log, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody who runs the service that hears the log."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", log.bootstrap_servers)
    return operator
