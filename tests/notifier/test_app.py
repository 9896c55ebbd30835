"""The service as a process: schema, health, command line."""

import os
import subprocess
import sys

from services.notifier.tables import Table
from shared.chassis.migrations import drift
from tests.stage import Stage


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


def test_the_command_line_says_what_there_is() -> None:
    """An operator finds the commands without the source, and without any settings."""
    said = subprocess.run(
        [sys.executable, "-m", "services.notifier", "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout

    for command in ("run", "migrate", "dead-letters"):
        assert command in said


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
