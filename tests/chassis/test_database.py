"""Connections to PostgreSQL."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
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


async def test_a_connection_that_the_server_ended_is_given_to_nobody(counting: Stage) -> None:
    """PostgreSQL is restarted between two requests: the second one notices nothing."""
    engine = another_process(counting)
    try:
        pid = await _pid(engine)
        async with counting.service.sessions() as session:
            await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        assert await _pid(engine) != pid
    finally:
        await engine.dispose()


async def test_a_connection_that_was_idle_for_long_is_asked_before_it_is_used(
    counting: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody between us and PostgreSQL forgot it, and told nobody."""

    def ask(_: object) -> None:
        raise TimeoutError

    engine = another_process(counting)
    try:
        pid = await _pid(engine)
        monkeypatch.setattr(database, "ASKED_AFTER_SECONDS", 0)
        monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", ask)

        assert await _pid(engine) != pid
    finally:
        await engine.dispose()


async def test_a_connection_in_constant_use_is_not_asked(counting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking costs more than most queries."""

    def ask(_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", ask)
    engine = another_process(counting)
    try:
        assert await _pid(engine) == await _pid(engine)
    finally:
        await engine.dispose()


async def _pid(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(text("SELECT pg_backend_pid()"))
