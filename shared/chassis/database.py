"""PostgreSQL: the engine, sessions, and the column types and names all services share.

The session is the unit of work: whoever opened it commits it, nobody in between does.
"""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from litestar.datastructures import State
from sqlalchemy import DateTime, Dialect, MetaData, TypeDecorator, event, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from shared.chassis.prepared import ASKED_AFTER_SECONDS, Pool

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

HANGS_AFTER_SECONDS = 10.0
"""PostgreSQL ends a transaction in which nothing was asked for so long: its process hangs and holds others' rows.

No transaction of ours waits for anything but the database, except exports of reports, which set a limit of their own.
"""

Timestamp = Annotated[datetime, mapped_column(DateTime(timezone=True))]

Sessions = async_sessionmaker[AsyncSession]


class ChassisTable(DeclarativeBase):
    """The tables every service has: outbox, inbox, dead letters. Made by the chassis' own migrations."""

    metadata = MetaData(naming_convention=NAMES)


class Json(TypeDecorator[Any]):
    """A contract dataclass in one JSONB column: stored as it travels, read back typed."""

    impl = JSONB
    cache_ok = True

    def __init__(self, of: Any) -> None:
        super().__init__(none_as_null=True)
        self.of = of

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn facts into what JSONB takes."""
        return None if value is None else msgspec.to_builtins(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn JSONB into facts; fields added since it was stored have their defaults."""
        return None if value is None else msgspec.convert(value, self.of)


def async_driver(url: str) -> str:
    """Accept a URL as every PostgreSQL tool writes it; asyncpg has another word for `sslmode`. Raises ValueError."""
    scheme, separator, rest = url.partition("://")
    if scheme not in {"postgres", "postgresql", "postgresql+asyncpg"} or not separator:
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    return f"postgresql+asyncpg://{rest.replace('sslmode=', 'ssl=')}"


def connect(url: str, *, service: str, pool_size: int, statement_seconds: float | None = 30.0) -> AsyncEngine:
    """Make the service's engine. Connects when first used, so a service starts while its database is down."""
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the one that was used last has the most ready: plans, pages, a process that is awake
        pool_timeout=5,
        hide_parameters=True,  # an error that is logged must not hold what people wrote
        connect_args=_settings(service, statement_seconds),
    )
    _replace_broken_connections(engine)
    return engine


def prepared_pool(url: str, *, service: str, size: int, statement_seconds: float | None = 30.0) -> Pool:
    """Make the service's connections for prepared statements, with the engine's settings. Connects when first used."""
    _, address = dialect().create_connect_args(make_url(url))
    return Pool(size, **address, **_settings(service, statement_seconds))


def _settings(service: str, statement_seconds: float | None) -> dict[str, Any]:
    return {
        "timeout": 5,
        "command_timeout": statement_seconds,
        "server_settings": {
            "application_name": f"closeloop-{service}",
            "idle_in_transaction_session_timeout": f"{HANGS_AFTER_SECONDS * 1000:.0f}",
            # Should we not be there any more to take it back, as we do a second before. 0 is none.
            "statement_timeout": f"{(statement_seconds + 1) * 1000:.0f}" if statement_seconds else "0",
        },
    }


def _replace_broken_connections(engine: AsyncEngine) -> None:
    """Give nobody a connection that broke while it was idle.

    Of one that was ended asyncpg has heard. One that may have been lost without a word since is asked. SQLAlchemy's
    own `pool_pre_ping` asks every time, by three round trips: a third of what a short request takes.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def note_time(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["idle since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
        idle_since = record.info.get("idle since")
        if idle_since is None:  # new
            return
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - idle_since > ASKED_AFTER_SECONDS:
            try:
                connection.ping()
            except Exception as failure:
                raise InvalidatePoolError from failure


def sessions_of(engine: AsyncEngine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def transaction(state: State) -> AsyncIterator[AsyncSession]:
    """Give a route its session: committed before the response starts, rolled back when the route raises."""
    async with state.sessions.begin() as session:
        yield session


# PostgreSQL's error classes that say nothing about the record. What passes: connection (08), read-only (25006), idle in
# a transaction (25P03), transaction rollback such as a deadlock (40), resources (53), lock not available (55P03),
# operator intervention (57), system error (58). What a deployment got wrong and a migration or a grant puts right:
# authorization (28), no such database (3D), no such table or column, no privilege (42).
# Source: PostgreSQL documentation, appendix A.
_NOT_THE_RECORDS = ("08", "25006", "25P03", "28", "3D", "40", "42", "53", "55P03", "57", "58")


def is_outage(error: BaseException) -> bool:
    """Tell a failure of the machinery, for which records wait, from one of a record's own."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return True
        state = getattr(error.orig, "sqlstate", None)
        return state.startswith(_NOT_THE_RECORDS) if state else isinstance(error, OperationalError)
    if isinstance(error, asyncpg.PostgresError):  # of a statement that the driver was handed, see prepared.py
        return (getattr(error, "sqlstate", None) or "").startswith(_NOT_THE_RECORDS)
    return isinstance(error, PoolTimeoutError | TimeoutError | OSError | asyncpg.InterfaceError)
