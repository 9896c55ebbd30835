"""Start and stop a service in one order: database, Kafka, relay, background work; then all of it in reverse.

HTTP serves from the first moment: Kafka is connected by a task that keeps trying, so a service boots while it is down.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from faststream.kafka import KafkaBroker
from litestar import Litestar
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from shared.chassis import kafka
from shared.chassis.clock import Clock, utc_now
from shared.chassis.database import Sessions, connect, sessions_of
from shared.chassis.inbox import forget_old_messages
from shared.chassis.kafka import Consumers, EventRouter
from shared.chassis.outbox import Relay
from shared.chassis.settings import Settings
from shared.chassis.telemetry import KAFKA_CONNECTED

RETRY_SECONDS = 1.0
STOP_SECONDS = 20.0
HOUSEKEEPING_SECONDS = 3600.0

Chore = Callable[[Sessions, Clock], Awaitable[None]]
"""Work that goes on in the background until it is cancelled, such as sending due emails."""

Forget = Callable[[AsyncSession, datetime], Awaitable[None]]
"""Drops, in the session's transaction, rows that are of no more use at a time. Called every hour."""

log = structlog.get_logger()


@dataclass(kw_only=True)
class Service:
    """What makes a service run: its settings, what it hears, its chores, and what it forgets.

    `clock` is replaced in tests.
    """

    name: str
    settings: Settings
    events: EventRouter
    provided: Mapping[str, Any] = field(default_factory=dict)
    chores: Sequence[Chore] = ()
    forgets: Sequence[Forget] = ()
    clock: Clock = utc_now

    def __post_init__(self) -> None:
        self.engine = connect(self.settings.database_url, service=self.name, pool_size=self.settings.database_pool_size)
        self.sessions = sessions_of(self.engine)
        self.consumers = Consumers(
            self.events,
            sessions=self.sessions,
            clock=self.clock,
            provided=self.provided,
            dead_letter_limit=self.settings.dead_letter_limit,
        )
        self._broker: KafkaBroker | None = None

    @property
    def state(self) -> State:
        """What routes find in Litestar's state: `sessions`, `clock`, `service`, and what handlers are provided."""
        return State({"sessions": self.sessions, "clock": self.clock, "service": self, **self.provided})

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncIterator[None]:
        """Litestar's lifespan: consumers, relay and chores run as long as the app does."""
        relay = Relay(self.engine, service=self.name, bootstrap_servers=self.settings.kafka_bootstrap_servers)
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "consumers": self._consume,
            "relay": relay.lead,
            "housekeeping": self._keep_house,
            **{chore.__name__: partial(chore, self.sessions, self.clock) for chore in self.chores},
        }
        # Consumers first to stop: what they still take must find the relay and the pool.
        tasks = [asyncio.create_task(keep_going(name, task), name=name) for name, task in work.items()]
        log.info("started", service_name=self.name)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                await asyncio.wait({task}, timeout=STOP_SECONDS)
            await self.engine.dispose()
            log.info("stopped", service_name=self.name)

    async def _consume(self) -> None:
        """Connect to Kafka and consume until cancelled. Raises when Kafka does not answer at the start."""
        broker = kafka.connect(self.settings.kafka_bootstrap_servers, service=self.name)
        self.consumers.attach(broker, service=self.name, session_timeout_ms=self.settings.kafka_session_timeout_ms)
        try:
            await broker.start()
            self._broker = broker
            KAFKA_CONNECTED.set(1)
            log.info("kafka connected")
            await asyncio.Event().wait()
        finally:
            self._broker = None
            KAFKA_CONNECTED.set(0)
            await _stop(broker)

    async def kafka_answers(self) -> bool:
        """Tell whether the consumers are connected and the cluster answers within a second."""
        return self._broker is not None and await kafka.answers(self._broker, 1.0)

    async def _keep_house(self) -> None:
        """Forget what is of no more use, every hour; a failure is logged and does not end it."""
        while True:
            for forget in (forget_old_messages, *self.forgets):
                try:
                    async with self.sessions.begin() as session:
                        await forget(session, self.clock())
                except Exception as failure:  # noqa: BLE001 - the next round may do better
                    log.warning("housekeeping failed", reason=f"{type(failure).__name__}: {failure}")
            await asyncio.sleep(HOUSEKEEPING_SECONDS)


async def _stop(broker: KafkaBroker) -> None:
    """Stop consuming. With a dead broker aiokafka's stop was measured not to return, hence the limit."""
    try:
        await asyncio.wait_for(broker.stop(), STOP_SECONDS - 2)
    except Exception as failure:  # noqa: BLE001 - we are leaving; what was not acknowledged comes again
        log.warning("consumers did not stop cleanly", reason=type(failure).__name__)


async def keep_going(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` until cancelled: when it ends or fails, again after a second. It outlives every outage."""
    while True:
        try:
            await work()
        except Exception as failure:
            # Cleaning up after a cancellation may fail, too, and that failure then stands in the cancellation's place.
            if _is_cancelled():
                raise
            log.warning("will try again", work=name, reason=f"{type(failure).__name__}: {failure}")
        if _is_cancelled():  # a library took the cancellation for its own
            return
        await asyncio.sleep(RETRY_SECONDS)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
