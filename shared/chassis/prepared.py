"""Statements of pages that are asked all the time: put together once, and handed to the driver as they are.

SQLAlchemy still makes them, and has the connections. What it does besides for each execution (look up what it made of
the statement, begin, wrap rows, roll back) takes several times as long as PostgreSQL takes for a short query.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg
from sqlalchemy import Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

_DIALECT = dialect()


class Row(asyncpg.Record):
    """A row, whose columns are attributes as well. The class of all rows of a connection of ours, see database.py."""

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

    async def rows(self, engine: AsyncEngine, values: Mapping[str, Any]) -> list[Row]:
        """Execute it as a transaction of its own. Raises what asyncpg raises, and KeyError without a value."""
        arguments = [values[name] if name in values else self._constants[name] for name in self._names]
        pooled = await engine.raw_connection()
        try:
            driver: Any = pooled.driver_connection
            return await driver.fetch(self.text, *arguments)
        finally:
            await greenlet_spawn(pooled.close)
