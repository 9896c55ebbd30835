"""A service starts and stops whatever its surroundings do, and forgets what is of no more use."""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from datetime import datetime

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.kafka.native import NativeKafka
from deploy.kafka.topics import provision
from deploy.server_process import free_port
from shared.chassis import command_line, lifecycle
from shared.chassis.cluster import Cluster
from shared.chassis.kafka import EventRouter
from shared.chassis.lifecycle import Service
from shared.chassis.settings import Settings
from tests.chassis.counting import create_app, events
from tests.stage import Stage, StoppedClock

NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"


def a_service(stage: Stage, **own: object) -> Service:
    """Make a service on the stage's database, without Kafka."""
    return Service(
        **{
            "name": "counting",
            "settings": Settings(
                database_url=stage.service.settings.database_url, kafka_bootstrap_servers="127.0.0.1:1"
            ),
            "events": EventRouter(),
            "clock": StoppedClock(),
            **own,
        }
    )


async def test_pages_find_a_connection_while_all_background_work_has_one(counting: Stage) -> None:
    """A backlog on every topic does not keep visitors waiting."""
    settings = counting.service.settings.model_copy(update={"database_pool_size": 1})
    service = a_service(counting, settings=settings, events=events)
    busy_with_batches_relay_housekeeping_and_vital_signs = len(events.handlers) + 3
    try:
        async with AsyncExitStack() as busy:
            for _ in range(busy_with_batches_relay_housekeeping_and_vital_signs):
                await busy.enter_async_context(service.engine.connect())
            async with asyncio.timeout(1), service.sessions() as page:
                assert await page.scalar(text("SELECT 1")) == 1
    finally:
        await service.disconnect()


async def test_a_chore_that_fails_is_started_again(counting: Stage) -> None:
    """Background work outlives an outage."""
    rounds: list[int] = []

    async def flaky(sessions: object, clock: object) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise ConnectionError("once")
        await asyncio.Event().wait()

    async with a_service(counting, chores=[flaky]).running(None):
        async with asyncio.timeout(5):
            while len(rounds) < 2:
                await asyncio.sleep(0.05)


async def test_what_is_of_no_more_use_is_forgotten_and_one_failure_does_not_stop_the_rest(counting: Stage) -> None:
    """Each has a transaction of its own."""
    called: list[datetime] = []

    async def broken(session: AsyncSession, now: datetime) -> None:
        raise ValueError("broken")

    async def forget(session: AsyncSession, now: datetime) -> None:
        called.append(now)

    service = a_service(counting, forgets=[broken, forget])
    async with service.running(None):
        async with asyncio.timeout(5):
            while not called:
                await asyncio.sleep(0.05)

    assert called == [service.clock()]


async def test_a_stop_is_bounded_though_the_broker_froze(
    counting: Stage, kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A supervisor that waits for us does not wait for a broker. Asks for `kafka`, since CI must have one."""
    broker = NativeKafka(tmp_path_factory.mktemp("frozen"))
    broker.start()
    await provision(Cluster(broker.bootstrap_servers))
    settings = Settings(
        database_url=counting.service.settings.database_url, kafka_bootstrap_servers=broker.bootstrap_servers
    )
    service = a_service(counting, events=events, settings=settings)
    try:
        async with service.running(None):
            async with asyncio.timeout(20):
                while not await service.kafka_answers():
                    await asyncio.sleep(0.1)
            broker.pause()
            assert not await service.kafka_answers()
            begun = time.monotonic()
        # Bounded by what may take its time one after the other, and that by what supervisors wait.
        limit = lifecycle.WORK_STOP_SECONDS + lifecycle.RELAY_STOP_SECONDS + lifecycle.DISPOSE_SECONDS
        assert time.monotonic() - begun < limit + 1
        assert command_line.REQUEST_STOP_SECONDS + limit <= command_line.LAST_STOP_SECONDS < 20
    finally:
        broker.resume()
        broker.stop()


STUBBORN = """
import asyncio, sys
from litestar import Litestar
from shared.chassis import command_line, lifecycle
from shared.chassis.kafka import EventRouter
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.chassis.settings import Settings

command_line.LAST_STOP_SECONDS = 1.5

async def stubborn(sessions, clock):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

program = Program(
    name="stubborn",
    settings=Settings,
    create_service=lambda settings: Service(name="x", settings=settings, events=EventRouter(), chores=[stubborn]),
    create_app=lambda service: Litestar([], lifespan=[service.running], logging_config=None),
    metadata=None,
    versions=None,
)
command_line.command_line(program)(["run"])
"""


def test_a_process_is_gone_in_time_though_something_does_not_end() -> None:
    """A supervisor that waits twenty seconds before SIGKILL never has to send it."""
    environment = {**os.environ, "DATABASE_URL": NOWHERE, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        env={**environment, "PORT": str(free_port())},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        while '"started"' not in (line := process.stderr.readline()):
            assert line, "ended by itself"
        process.terminate()

        assert process.wait(timeout=15) == 1


@pytest.mark.parametrize(("database", "status"), [("up", 200), ("down", 503)])
async def test_readiness_tells_whether_pages_can_be_served(counting: Stage, database: str, status: int) -> None:
    """Without Kafka they can, without the database they cannot."""
    own = (
        {} if database == "up" else {"settings": Settings(database_url=NOWHERE, kafka_bootstrap_servers="127.0.0.1:1")}
    )
    service = a_service(counting, **own)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(service)), base_url="http://testserver"
    ) as client:
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")
        metrics = await client.get("/metrics")
    await service.disconnect()

    assert ready.status_code == status
    about_work = {"behind": None, "troubles": []} if database == "up" else {}
    assert ready.json() == {
        "status": "degraded" if database == "up" else "unavailable",
        "database": database,
        "kafka": "down",
        **about_work,
    }
    assert live.status_code == 200
    assert "closeloop_events_taken_total" in metrics.text
