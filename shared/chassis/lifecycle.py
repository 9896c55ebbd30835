"""Start and stop a service: consumers, relay and background work run as long as its app does.

HTTP serves from the first moment: Kafka is connected by a task that keeps trying, so a service boots while it is down.
A stop ends HTTP first, then what takes in work, then the relay, each within a limit; command_line.py has the last one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from faststream.kafka import KafkaBroker
from litestar import Litestar
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from shared.chassis import kafka, tracing
from shared.chassis.clock import Clock, utc_now
from shared.chassis.database import Sessions, connect, prepared_pool, sessions_of
from shared.chassis.inbox import forget_old_messages
from shared.chassis.kafka import Consumers, EventRouter
from shared.chassis.outbox import Relay, oldest_age_seconds
from shared.chassis.prepared import Pool
from shared.chassis.settings import Settings
from shared.chassis.telemetry import KAFKA_CONNECTED
from shared.chassis.tenancy import of_all_accounts, of_no_account
from shared.chassis.vital_signs import VitalSigns

RETRY_SECONDS = 1.0
WORK_STOP_SECONDS = 8.0
"""For batches and emails in hand to end, and consumers to leave their groups."""

RELAY_STOP_SECONDS = 4.0
DISPOSE_SECONDS = 2.0
HOUSEKEEPING_SECONDS = 3600.0
_OWN_WORK = 3
"""Connections for the relay, housekeeping and vital signs."""

LATE_SECONDS = 60.0
"""An event that has waited longer to be published is a trouble."""

Check = Callable[[AsyncSession, datetime], Awaitable[str | None]]
"""Tells an operator in a sentence what is wrong with something of the service's own; None when nothing is."""

Chore = Callable[[Sessions, Clock], Awaitable[None]]
"""Work that goes on in the background until it is cancelled, such as sending due emails."""

Forget = Callable[[AsyncSession, datetime], Awaitable[None]]
"""Drops, in the session's transaction, rows that are of no more use at a time. Called every hour."""

log = structlog.get_logger()


@dataclass(kw_only=True)
class Service:
    """What makes a service run: its settings, what it hears, its chores, what it forgets and what it checks.

    `farewells` are called when a stop begins: they end answers that would go on for as long as somebody reads.
    `clock` is replaced in tests.
    """

    name: str
    settings: Settings
    events: EventRouter
    provided: Mapping[str, Any] = field(default_factory=dict)
    chores: Sequence[Chore] = ()
    forgets: Sequence[Forget] = ()
    checks: Sequence[Check] = ()
    farewells: Sequence[Callable[[], None]] = ()
    clock: Clock = utc_now
    guarded: bool = False
    """Its tables show a page's transaction no rows until it says whose: see tenancy.py."""

    prepared: bool = False
    """Its pages execute prepared statements, on connections besides those of sessions: see prepared.py."""

    def __post_init__(self) -> None:
        # What works in the background holds its connections for as long as a batch takes; pages must find theirs.
        background = len(self.events.handlers) + len(self.chores) + _OWN_WORK
        pages, limit = self.settings.database_pool_size, self.settings.statement_seconds
        self.most_connections = background + pages * (2 if self.prepared else 1)
        url = self.settings.database_url
        self.engine = connect(url, service=self.name, pool_size=background + pages, statement_seconds=limit)
        self.pool: Pool | None = None
        if self.prepared:
            self.pool = prepared_pool(url, service=self.name, size=pages, statement_seconds=limit)
        if self.guarded:
            self.sessions, self.page_sessions = of_all_accounts(self.engine), of_no_account(self.engine)
        else:
            self.sessions = self.page_sessions = sessions_of(self.engine)
        self.consumers = Consumers(
            self.events,
            sessions=self.sessions,
            clock=self.clock,
            provided=self.provided,
            dead_letter_limit=self.settings.dead_letter_limit,
        )
        self._broker: KafkaBroker | None = None
        self._vital_signs = VitalSigns(
            name=self.name,
            settings=self.settings,
            sessions=self.sessions,
            consumers=self.consumers,
            assigned=lambda: kafka.assigned(self._broker) if self._broker else {},
        )

    @property
    def state(self) -> State:
        """What routes find in Litestar's state, besides what handlers are provided."""
        own = {"sessions": self.page_sessions, "pool": self.pool, "clock": self.clock, "service": self}
        return State({**own, **self.provided})

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncIterator[None]:
        """Litestar's lifespan: consumers, relay and chores run as long as the app does."""
        relay = Relay(self.engine, service=self.name, cluster=self.settings.cluster)
        work: dict[str, Callable[[], Awaitable[None]]] = {
            "consumers": self._consume,
            "housekeeping": self._keep_house,
            "vital signs": self._vital_signs.watch,
            **{chore.__name__: partial(chore, self.sessions, self.clock) for chore in self.chores},
        }
        working = {asyncio.create_task(keep_going(name, task), name=name) for name, task in work.items()}
        relaying = asyncio.create_task(keep_going("relay", relay.lead), name="relay")
        log.info("started", service_name=self.name)
        try:
            yield
        finally:
            await _end(working, WORK_STOP_SECONDS)
            await _end({relaying}, RELAY_STOP_SECONDS)  # last, for what the others still said
            with suppress(TimeoutError):
                await asyncio.wait_for(self.disconnect(), DISPOSE_SECONDS)
            await asyncio.to_thread(tracing.flush)
            log.info("stopped", service_name=self.name)

    async def disconnect(self) -> None:
        """Close the connections to PostgreSQL that are in no use."""
        try:
            if self.pool:
                await self.pool.close()
        finally:
            await self.engine.dispose()

    async def _consume(self) -> None:
        """Connect to Kafka and consume until cancelled. Raises when Kafka does not answer at the start."""
        broker = kafka.connect(self.settings.cluster, service=self.name)
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

    async def troubles(self, session: AsyncSession) -> list[str]:
        """Tell what an operator should look at, a sentence each."""
        told = [
            f"{topic}: {consumer.trouble}" for topic, consumer in self.consumers.by_topic.items() if consumer.trouble
        ]
        if (waiting := await oldest_age_seconds(session)) > LATE_SECONDS:
            told.append(f"the oldest event has waited {waiting:.0f} s to be published")
        told += [trouble for check in self.checks if (trouble := await check(session, self.clock()))]
        return told

    @property
    def behind(self) -> int | None:
        """Records of Kafka's that this service has not taken, as last seen; None while that is not known."""
        return self._vital_signs.behind

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


async def _end(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    for task in tasks:
        task.cancel()
    _, left = await asyncio.wait(tasks, timeout=seconds)
    for task in left:
        log.warning("did not stop in time", work=task.get_name())


async def _stop(broker: KafkaBroker) -> None:
    """Stop consuming. With a dead broker aiokafka's stop was measured not to return, hence the limit."""
    try:
        await asyncio.wait_for(broker.stop(), WORK_STOP_SECONDS - 1)
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
