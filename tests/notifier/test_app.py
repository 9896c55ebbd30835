"""The service as a process: schema, health, metrics."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from alembic import command
from prometheus_client import REGISTRY
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.postgres.embedded import PostgresServer
from services.notifier import app
from services.notifier.backlog import Backlog, backlog, report_backlog
from services.notifier.emails import Email
from services.notifier.tables import Table
from shared.chassis import migrations
from shared.chassis.database import async_driver
from shared.chassis.migrations import drift, migrate
from tests.builders import NOON
from tests.notifier.conftest import replies, stopped, until
from tests.stage import Stage

VERSIONS = Path(app.__file__).parent / "migrations"


async def test_tables_and_migrations_do_not_drift(notifier: Stage) -> None:
    """What the migrations make is what the code expects."""
    assert await drift(notifier.service.settings.database_url, Table.metadata) == []


async def test_health_and_metrics_are_served(notifier: Stage) -> None:
    """An orchestrator can ask; without Kafka the service is degraded, not down."""
    assert (await notifier.client.get("/health/live")).json() == {"status": "ok"}
    ready = await notifier.client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "degraded"
    assert "closeloop_emails_total" in (await notifier.client.get("/metrics")).text


async def test_a_stuck_queue_can_be_seen(notifier: Stage) -> None:
    """How much waits and how long the oldest has been due: an operator is woken by these two."""
    await replies(notifier, 3)
    async with notifier.service.sessions() as session:
        assert await backlog(session, NOON) == Backlog(queued=3, oldest_due_seconds=0.0)
        assert await backlog(session, NOON + timedelta(minutes=2)) == Backlog(queued=3, oldest_due_seconds=120.0)
    async with notifier.service.sessions.begin() as session:
        for email in await session.scalars(select(Email)):
            email.lease()

    async with notifier.service.sessions() as session:
        assert await backlog(session, NOON + timedelta(minutes=2)) == Backlog(queued=3, oldest_due_seconds=0.0)


async def test_an_empty_queue_is_not_stuck(notifier: Stage) -> None:
    """What is sent or failed waits for nothing."""
    async with notifier.service.sessions() as session:
        assert await backlog(session, NOON) == Backlog(queued=0, oldest_due_seconds=0.0)


async def test_the_gauges_follow_the_queue(notifier: Stage) -> None:
    """Prometheus sees what the database says."""
    await replies(notifier, 2)
    notifier.later(seconds=30)
    chore = asyncio.create_task(report_backlog(notifier.service.sessions, notifier.clock))
    try:
        await until(lambda: REGISTRY.get_sample_value("closeloop_emails_queued") == 2)
    finally:
        await stopped(chore)

    assert REGISTRY.get_sample_value("closeloop_oldest_due_email_seconds") == 30


def test_migrate_can_be_run_again(notifier: Stage) -> None:
    """Every start of a replica may migrate."""
    settings = notifier.service.settings
    subprocess.run(
        [sys.executable, "-m", "services.notifier", "migrate"],
        check=True,
        timeout=60,
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "MAIL_FROM": "support@desk.example",
            "SMTP_HOST": "127.0.0.1",
        },
    )


async def test_emails_that_failed_before_failures_had_reasons_get_one(postgres_server: PostgresServer) -> None:
    """An upgrade keeps what became of old emails, in the words of today, and can be taken back."""
    url = postgres_server.create_database("notifier_upgrade")

    async def go(direction: Callable[..., None], revision: str) -> None:
        await migrations._run(url, lambda connection: direction(migrations._config(connection, VERSIONS), revision))

    async def run(statement: str) -> list[Any]:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return list(result.scalars()) if result.returns_rows else []

    await go(command.upgrade, "notifier_0001")
    engine = create_async_engine(async_driver(url))
    await run("INSERT INTO accounts VALUES ('acme', 1, 'Acme', '#000000', 'UTC', NULL, NULL, NULL, now())")
    for number, error in enumerate(("not an address", "too late; before: not tried", "SMTPDataError 550 5.1.1")):
        await run(
            "INSERT INTO emails (id, account_id, kind, subject_id, recipient, recipient_name, thread, facts, state,"
            " attempts, due_at, give_up_at, last_error, created_at)"
            f" VALUES (uuidv7(), 'acme', 'reply_published', '{number}', 'r', 'R', 't', '{{}}', 'failed',"
            f" 1, now(), now(), '{error}', now())"
        )

    await migrate(url, VERSIONS)
    reasons = await run("SELECT failed_reason FROM emails ORDER BY subject_id")
    await go(command.downgrade, "notifier_0001")
    await migrate(url, VERSIONS)
    again = await run("SELECT failed_reason FROM emails ORDER BY subject_id")
    await engine.dispose()

    assert reasons == again == ["unwritable", "gave_up", "bounced"]
