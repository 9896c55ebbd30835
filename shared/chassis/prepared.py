"""Statements of pages that are asked all the time: put together once, and handed to the driver as they are.

SQLAlchemy still makes them. What it does besides for each execution (lend a connection, look up what it made of the
statement, begin, wrap rows, roll back) takes several times as long as PostgreSQL takes for a short query.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect

WAIT_SECONDS = 5.0
"""For a connection that is free, and for an answer from one that is asked whether it still is one."""

ASKED_AFTER_SECONDS = 5.0
"""A connection that was idle for longer is asked whether it still is one before it is used."""

CLOSE_SECONDS = 2.0

_DIALECT = dialect()


class Row(asyncpg.Record):
    """A row, whose columns are attributes as well."""

    def __getattr__(self, column: str) -> Any:
        """Give a column's value."""
        try:
            return self[column]
        except KeyError:
            raise AttributeError(column) from None


class Prepared:
    """A statement without values: it names them as `bindparam` does, and gets them each time it is executed."""

    def __init__(self, statement: Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # pyright: ignore[reportAttributeAccessIssue] - all have it
        self.text = str(compiled)
        self._names: list[str] = compiled.positiontup or []
        self._constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}

    async def rows(self, pool: "Pool", values: Mapping[str, Any]) -> list[Row]:
        """Execute it as a transaction of its own. Raises what `Pool.fetch` raises, and KeyError without a value."""
        arguments = [values[name] if name in values else self._constants[name] for name in self._names]
        return await pool.fetch(self.text, *arguments)


class Pool:
    """Connections for such statements, at most `size`, made when they are first needed. Each is lent for a statement.

    Less cannot be done for one, and that is the point: to borrow from asyncpg's own pool or from SQLAlchemy's takes
    half as long again as the statement (docs/decisions/2026-11-26-reads-are-one-statement.md).
    """

    def __init__(self, size: int, **connection: Any) -> None:
        self._connection = connection
        self._free = asyncio.Semaphore(size)
        self._idle: list[tuple[float, asyncpg.Connection]] = []
        self._is_closed = False
        self.lent = 0
        """How many are in use."""

    async def fetch(self, statement: str, *values: Any) -> list[Row]:
        """Execute a statement. Raises what asyncpg raises, and TimeoutError when none is free within WAIT_SECONDS."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._free.acquire()
        self.lent += 1
        try:
            connection = await self._usable()
            try:
                rows = await connection.fetch(statement, *values)
            except asyncpg.PostgresError:
                self._keep(connection)
                raise
            except BaseException:
                await asyncio.shield(_give_up(connection))  # cancelled, or out of time: it may still be about to answer
                raise
            self._keep(connection)
            return rows
        finally:
            self.lent -= 1
            self._free.release()

    def _keep(self, connection: asyncpg.Connection) -> None:
        if self._is_closed:
            connection.terminate()
        else:
            self._idle.append((time.monotonic(), connection))

    async def _usable(self) -> asyncpg.Connection:
        """Take the connection that was used last, which has the most ready: plans, pages, a process that is awake.

        Of one that was ended asyncpg has heard. One that may have been lost without a word since is asked; if it was,
        so are those that have been idle for longer.
        """
        while self._idle:
            since, connection = self._idle.pop()
            if connection.is_closed():
                continue
            if time.monotonic() - since < ASKED_AFTER_SECONDS or await _answers(connection):
                return connection
            for _, older in self._idle:
                older.terminate()
        return await asyncpg.connect(**self._connection, record_class=Row)

    async def close(self) -> None:
        """Close every connection: at once what is idle, the others when they come back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_give_up(connection) for _, connection in idle))


async def _give_up(connection: asyncpg.Connection) -> None:
    """Close a connection, and have PostgreSQL end what it is doing for it."""
    with suppress(Exception):  # then it is not there any more
        await connection.close(timeout=CLOSE_SECONDS)


async def _answers(connection: asyncpg.Connection) -> bool:
    try:
        await connection.fetch("SELECT 1", timeout=WAIT_SECONDS)
    except BaseException as failure:
        connection.terminate()
        if not isinstance(failure, Exception):
            raise
        return False
    return True
