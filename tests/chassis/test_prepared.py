"""Statements that are handed to the driver as they are, and the connections that are lent for them."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Float, Integer, bindparam, func, literal_column, select, text

from shared.chassis import prepared
from shared.chassis.database import is_outage, prepared_pool
from shared.chassis.prepared import Pool, Prepared
from tests.stage import Stage

NEXT = Prepared(select((bindparam("number", type_=Integer) + 1).label("next"), func.pg_backend_pid().label("pid")))
SLEEP = Prepared(select(func.pg_sleep(bindparam("seconds", type_=Float)), func.pg_backend_pid().label("pid")))


@pytest_asyncio.fixture
async def pool(counting: Stage) -> AsyncIterator[Pool]:
    """A pool of one connection, as another process has it."""
    pool = pool_of(counting)
    yield pool
    await pool.close()


def pool_of(stage: Stage, *, statement_seconds: float = 30.0) -> Pool:
    """Make it."""
    url = stage.service.engine.url.render_as_string(hide_password=False)
    return prepared_pool(url, service="counting", size=1, statement_seconds=statement_seconds)


async def pid(pool: Pool) -> int:
    """Whose process answers."""
    return (await NEXT.rows(pool, {"number": 0}))[0].pid


async def test_it_is_executed_with_the_values_of_each_time(pool: Pool) -> None:
    """Put together once; a row's columns are attributes, and have places."""
    (row,) = await NEXT.rows(pool, {"number": 3, "unknown": "ignored"})
    (other,) = await NEXT.rows(pool, {"number": 4})

    assert (row.next, row[0], row["next"], other.next) == (4, 4, 4, 5)
    with pytest.raises(AttributeError, match="nothing"):
        _ = row.nothing


async def test_a_value_that_is_missing_is_not_taken_for_null(pool: Pool) -> None:
    """A comparison with null is never true: the answer would be an empty one."""
    with pytest.raises(KeyError, match="number"):
        await NEXT.rows(pool, {})


async def test_no_more_connections_are_made_than_there_may_be(pool: Pool) -> None:
    """However many ask at once, each in its turn."""
    pids = await asyncio.gather(*(pid(pool) for _ in range(20)))

    assert len(set(pids)) == 1


async def test_the_connection_that_was_used_last_is_lent_first(counting: Stage) -> None:
    """What one statement made ready is there for the next; the others are for when many come at once."""
    url = counting.service.engine.url.render_as_string(hide_password=False)
    pool = prepared_pool(url, service="counting", size=3)
    try:
        slow = asyncio.create_task(SLEEP.rows(pool, {"seconds": 0.2}))
        await asyncio.gather(*(SLEEP.rows(pool, {"seconds": 0.05}) for _ in range(2)))
        (last,) = await slow

        assert {await pid(pool) for _ in range(9)} == {last.pid}
    finally:
        await pool.close()


async def test_who_waits_too_long_for_a_connection_is_told(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pool exhaustion is an outage, not a page that never comes; and it is over with what caused it."""
    monkeypatch.setattr(prepared, "WAIT_SECONDS", 0.1)
    slow = asyncio.create_task(SLEEP.rows(pool, {"seconds": 0.5}))
    await asyncio.sleep(0.05)

    with pytest.raises(TimeoutError) as waited:
        await pid(pool)
    assert is_outage(waited.value)

    (row,) = await slow
    assert await pid(pool) == row.pid


async def test_nobody_gets_a_connection_that_broke(pool: Pool) -> None:
    """PostgreSQL ends it while a statement runs: that is an outage, and the next statement has another one."""
    suicide = Prepared(select(func.pg_terminate_backend(func.pg_backend_pid())))
    before = await pid(pool)

    with pytest.raises(asyncpg.PostgresError) as ended:
        await suicide.rows(pool, {})

    assert is_outage(ended.value)
    assert await pid(pool) != before


async def test_nobody_gets_a_connection_that_was_ended_meanwhile(counting: Stage, pool: Pool) -> None:
    """PostgreSQL is restarted between two requests: the second one notices nothing."""
    before = await pid(pool)
    async with counting.service.sessions() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": before})

    assert await pid(pool) != before


async def test_a_statement_that_fails_costs_no_connection(pool: Pool) -> None:
    """PostgreSQL has answered, if with an error."""
    division = Prepared(select(literal_column("1") / bindparam("number", type_=Integer)))
    before = await pid(pool)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await division.rows(pool, {"number": 0})

    assert await pid(pool) == before


@pytest.mark.parametrize("ends", ["cancelled", "out of time"])
async def test_a_statement_that_is_given_up_answers_no_other(counting: Stage, ends: str) -> None:
    """Its connection may still get its answer: it goes, and its place is free."""
    pool = pool_of(counting, statement_seconds=0.3 if ends == "out of time" else 30)
    try:
        before = await pid(pool)
        slow = asyncio.create_task(SLEEP.rows(pool, {"seconds": 20}))
        await asyncio.sleep(0.1)
        if ends == "cancelled":
            slow.cancel()
        with pytest.raises((asyncio.CancelledError, TimeoutError)):
            await slow

        assert await pid(pool) != before
        await has_gone(counting, before)  # long before it would be done
    finally:
        await pool.close()


async def has_gone(stage: Stage, process: int) -> None:
    """Wait until PostgreSQL does no more for a connection. Raises AssertionError."""
    left = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
    for _ in range(100):
        async with stage.service.sessions() as session:
            if not await session.scalar(left, {"pid": process}):
                return
        await asyncio.sleep(0.05)
    raise AssertionError("its connection is still there")


async def test_when_one_connection_was_lost_no_other_is_waited_for(
    counting: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that dropped them all: a request waits for one that does not answer, not for ten."""
    url = counting.service.engine.url.render_as_string(hide_password=False)
    pool = prepared_pool(url, service="counting", size=3)
    asked = []

    async def answers(connection: asyncpg.Connection) -> bool:
        asked.append(connection.get_server_pid())
        connection.terminate()
        return False

    try:
        rows = await asyncio.gather(*(SLEEP.rows(pool, {"seconds": 0.05}) for _ in range(3)))
        monkeypatch.setattr(prepared, "ASKED_AFTER_SECONDS", 0)
        monkeypatch.setattr(prepared, "_answers", answers)

        assert await pid(pool) not in {row.pid for (row,) in rows}
        assert len(asked) == 1
    finally:
        await pool.close()


async def test_a_connection_that_was_idle_for_long_is_asked_before_it_is_used(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody between us and PostgreSQL forgot it, and told nobody: the statement has another one."""
    before = await pid(pool)
    monkeypatch.setattr(prepared, "ASKED_AFTER_SECONDS", 0)
    assert await pid(pool) == before

    fetch = asyncpg.Connection.fetch

    async def hears_nothing(connection: asyncpg.Connection, statement: str, *values: object, **options: float) -> list:
        if connection.get_server_pid() == before:
            raise TimeoutError
        return await fetch(connection, statement, *values, **options)

    monkeypatch.setattr(asyncpg.Connection, "fetch", hears_nothing)

    assert await pid(pool) != before


async def test_a_connection_in_constant_use_is_not_asked(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking takes as long as a short query."""

    async def ask(_: object) -> bool:
        raise AssertionError("asked")

    monkeypatch.setattr(prepared, "_answers", ask)

    assert await pid(pool) == await pid(pool)


async def test_what_it_made_of_a_table_is_forgotten_with_the_table(counting: Stage, pool: Pool) -> None:
    """A rebuild puts other tables in the place of those that the driver has prepared statements for."""
    swapped = Prepared(select(literal_column("*")).select_from(text("swapped")))
    engine = counting.service.engine
    try:
        for column in ("1 AS one", "'two' AS two"):
            async with engine.begin() as connection:
                await connection.execute(text("DROP TABLE IF EXISTS swapped"))
                await connection.execute(text(f"CREATE TABLE swapped AS SELECT {column}"))
            (row,) = await swapped.rows(pool, {})
        assert row.two == "two"
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE swapped"))


async def test_a_pool_that_is_closed_leaves_no_connection(counting: Stage) -> None:
    """A service that stops takes none of PostgreSQL's with it."""
    pool = pool_of(counting)
    process = await pid(pool)

    await pool.close()

    await has_gone(counting, process)


async def test_what_comes_back_to_a_pool_that_is_closed_is_closed_as_well(counting: Stage) -> None:
    """A stop does not wait for what its requests still ask."""
    pool = pool_of(counting)
    slow = asyncio.create_task(SLEEP.rows(pool, {"seconds": 0.3}))
    await asyncio.sleep(0.1)

    await pool.close()

    (row,) = await slow
    await has_gone(counting, row.pid)


async def test_postgresql_ends_by_itself_what_takes_too_long(counting: Stage) -> None:
    """Should the process be gone that would have taken it back."""
    pool = pool_of(counting, statement_seconds=0.5)
    try:
        (row,) = await pool.fetch("SELECT current_setting('statement_timeout') AS limit")
    finally:
        await pool.close()

    assert row.limit == "1500ms"


def test_a_fault_of_a_statements_own_is_no_outage() -> None:
    """What is tried again has to be able to pass."""
    assert is_outage(asyncpg.AdminShutdownError("stopped"))
    assert is_outage(asyncpg.InterfaceError("connection is closed"))
    assert not is_outage(asyncpg.DataError("no number"))
    assert not is_outage(asyncpg.PostgresError("of no class"))
