"""A service under test: its real database and pages, with Kafka's records handed to its consumers directly."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import msgspec
from litestar import Litestar
from sqlalchemy import func, select, text

from deploy.postgres.embedded import PostgresServer
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.envelope import Headers, headers_of
from shared.chassis.lifecycle import Service
from shared.chassis.migrations import migrate
from shared.chassis.outbox import OutboxMessage
from shared.chassis.settings import Settings
from shared.chassis.telemetry import log_as_json
from shared.contracts import EVENTS, Event
from tests.builders import NOON

_offsets = itertools.count()


def next_offset() -> int:
    """Give an offset that no other record has."""
    return next(_offsets)


@dataclass
class Delivery:
    """A Kafka record."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int = 0
    offset: int = field(default_factory=next_offset)
    timestamp: int = 0


def delivery_of(event: Event, *, event_id: str | None = None) -> Delivery:
    """An event as its publisher's client writes it. Deliver it twice for a repeat of the same event."""
    return Delivery(
        topic=event.topic,
        key=event.key.encode(),
        value=msgspec.json.encode(event),
        headers=headers_of(
            event_id=event_id or str(uuid4()),
            event_type=event.topic,
            source="tests",
            subject=event.key,
            time=NOON,
        ),
    )


@dataclass
class StoppedClock:
    """A clock that tests set."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


class Stage:
    """One service, alone. Time stands still until a test moves it."""

    def __init__(self, service: Service, app: Litestar, clock: "StoppedClock") -> None:
        self.service = service
        self.app = app
        self.clock = clock
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://testserver"
        )
        self._seen = 0

    async def hears(self, *heard: Event | Delivery) -> None:
        """Take the events as one batch for each topic, in the order given."""
        deliveries = [item if isinstance(item, Delivery) else delivery_of(item) for item in heard]
        for topic, batch in itertools.groupby(deliveries, key=lambda delivery: delivery.topic):
            await self.service.consumers.by_topic[topic].take(list(batch))

    async def said(self) -> list[Event]:
        """What was emitted since the last call."""
        async with self.service.sessions() as session:
            rows = await session.scalars(
                select(OutboxMessage).where(OutboxMessage.id > self._seen).order_by(OutboxMessage.id)
            )
            said = []
            for row in rows:
                self._seen = row.id
                said.append(msgspec.json.decode(row.payload, type=_TYPES[row.topic]))
            return said

    async def rows(self, table: Any, **equal: Any) -> Sequence[Any]:
        """The table's rows, those equal to what is named."""
        async with self.service.sessions() as session:
            return (await session.scalars(select(table).filter_by(**equal))).all()

    async def row(self, table: Any, **equal: Any) -> Any:
        """The only row there is."""
        (only,) = await self.rows(table, **equal)
        return only

    async def count(self, table: Any) -> int:
        """How many rows there are."""
        async with self.service.sessions() as session:
            return await session.scalar(select(func.count()).select_from(table)) or 0

    async def dead_letters(self) -> list[str]:
        """Why records had no effect."""
        async with self.service.sessions() as session:
            return list(await session.scalars(select(DeadLetter.reason).order_by(DeadLetter.id)))

    def later(self, **by: float) -> datetime:
        """Move time on, `later(days=15)`."""
        self.clock.now += timedelta(**by)
        return self.clock.now

    async def clear(self) -> None:
        """Empty every table."""
        async with self.service.sessions.begin() as session:
            names = await session.scalars(
                text(
                    "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
                    " AND tablename <> 'alembic_version'"
                )
            )
            await session.execute(text(f"TRUNCATE {', '.join(names)}"))
        self._seen = 0
        self.clock.now = NOON

    async def forget_visits(self) -> None:
        """As if nobody had come lately, for who counts visits."""
        async with self.service.sessions.begin() as session:
            await session.execute(text("DELETE FROM rate_limit_buckets"))

    async def close(self) -> None:
        """Let go of the database."""
        await self.client.aclose()
        await self.service.disconnect()


class OwnedDatabases(PostgresServer):
    """A server whose databases belong to a role of the same name each, as init.sql makes them."""

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make the database and its owner, and return the owner's URL."""
        super().create_database(name, template)
        made = f"""CREATE ROLE "{name}" LOGIN PASSWORD '{name}'"""
        self._sql(f"DO $$ BEGIN {made}; EXCEPTION WHEN duplicate_object THEN END $$")
        self._sql(f'ALTER DATABASE "{name}" OWNER TO "{name}"')
        server = urlsplit(self.url(name))
        return urlunsplit(server._replace(netloc=f"{name}:{name}@{server.hostname}:{server.port}"))


_TYPES = {event.topic: event for event in EVENTS}


@asynccontextmanager
async def staged(
    server: PostgresServer, *, name: str, settings: type[Settings], app: ModuleType, **own: Any
) -> AsyncIterator[Stage]:
    """Put a service on stage: `app` is its module with `create_service` and `create_app`, `own` its own settings.

    It connects as it is deployed, as a role that owns its database and nothing else: no policy binds a superuser.
    """
    url = OwnedDatabases(server.admin_url).create_database(f"stage_{name}")
    await migrate(url, Path(app.__file__ or "").parent / "migrations")
    log_as_json(name, "ERROR")
    clock = StoppedClock()
    service = app.create_service(settings(database_url=url, kafka_bootstrap_servers="127.0.0.1:1", **own), clock)
    stage = Stage(service, app.create_app(service), clock)
    try:
        yield stage
    finally:
        await stage.close()
