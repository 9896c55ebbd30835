"""Connections to PostgreSQL."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.chassis import database
from shared.chassis.database import connect, is_outage
from tests.stage import Stage

LOCK = text("SELECT pg_advisory_xact_lock(4711)")


async def test_a_replica_that_hangs_in_a_transaction_does_not_hold_others_up_for_ever(
    counting: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends its transaction; when it wakes, that is an outage like any other and is tried again."""
    other = another_process(counting)
    monkeypatch.setattr(database, "HANGS_AFTER_SECONDS", 0.2)
    hanging = another_process(counting)
    try:
        async with hanging.connect() as asleep:
            await asleep.execute(LOCK)

            async with asyncio.timeout(10), other.begin() as connection:
                await connection.execute(LOCK)

            with pytest.raises(DBAPIError) as woken:
                await asleep.execute(text("SELECT 1"))
            assert is_outage(woken.value)
    finally:
        await hanging.dispose()
        await other.dispose()


def another_process(stage: Stage) -> AsyncEngine:
    """An engine as another process has it."""
    url = stage.service.engine.url.render_as_string(hide_password=False)
    return connect(url, service="counting", pool_size=1)
