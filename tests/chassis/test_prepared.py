"""Statements that are handed to the driver as they are."""

import asyncpg
import pytest
from sqlalchemy import Integer, bindparam, func, literal_column, select, text

from shared.chassis.database import is_outage
from shared.chassis.prepared import Prepared
from tests.chassis.test_database import another_process
from tests.stage import Stage

NEXT = Prepared(select((bindparam("number", type_=Integer) + 1).label("next"), func.pg_backend_pid().label("pid")))


async def test_it_is_executed_with_the_values_of_each_time(counting: Stage) -> None:
    """Put together once; a row's columns are attributes, and have places."""
    engine = counting.service.engine

    (row,) = await NEXT.rows(engine, {"number": 3, "unknown": "ignored"})
    (other,) = await NEXT.rows(engine, {"number": 4})

    assert (row.next, row[0], row["next"], other.next) == (4, 4, 4, 5)
    with pytest.raises(AttributeError, match="nothing"):
        _ = row.nothing


async def test_a_value_that_is_missing_is_not_taken_for_null(counting: Stage) -> None:
    """A comparison with null is never true: the answer would be an empty one."""
    with pytest.raises(KeyError, match="number"):
        await NEXT.rows(counting.service.engine, {})


async def test_nobody_gets_a_connection_that_broke(counting: Stage) -> None:
    """PostgreSQL ends it while a statement runs: that is an outage, and the next statement has another one."""
    engine = another_process(counting)
    suicide = Prepared(select(func.pg_terminate_backend(func.pg_backend_pid())))
    try:
        (row,) = await NEXT.rows(engine, {"number": 1})
        with pytest.raises(asyncpg.PostgresError) as ended:
            await suicide.rows(engine, {})
        assert is_outage(ended.value)

        (other,) = await NEXT.rows(engine, {"number": 1})
        assert other.pid != row.pid
    finally:
        await engine.dispose()


async def test_what_it_made_of_a_table_is_forgotten_with_the_table(counting: Stage) -> None:
    """A rebuild puts other tables in the place of those that the driver has prepared statements for."""
    engine = another_process(counting)
    swapped = Prepared(select(literal_column("*")).select_from(text("swapped")))
    try:
        for column in ("1 AS one", "'two' AS two"):
            async with engine.begin() as connection:
                await connection.execute(text("DROP TABLE IF EXISTS swapped"))
                await connection.execute(text(f"CREATE TABLE swapped AS SELECT {column}"))
            (row,) = await swapped.rows(engine, {})
        assert row.two == "two"
    finally:
        async with engine.begin() as connection:
            await connection.execute(text("DROP TABLE swapped"))
        await engine.dispose()


def test_a_fault_of_a_statements_own_is_no_outage() -> None:
    """What is tried again has to be able to pass."""
    assert is_outage(asyncpg.AdminShutdownError("stopped"))
    assert is_outage(asyncpg.InterfaceError("connection is closed"))
    assert not is_outage(asyncpg.DataError("no number"))
    assert not is_outage(asyncpg.PostgresError("of no class"))
