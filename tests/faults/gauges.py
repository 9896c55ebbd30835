"""What is measured while a row runs: memory, dropped repeats, the first progress after healing, the time to rest."""

import asyncio
import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

import asyncpg
import httpx
import psutil
from aiokafka.errors import KafkaError

from tests.faults.log import Log
from tests.faults.system import System
from tests.product import SERVICES

_REPEATED = re.compile(r'^closeloop_events_taken_total\{outcome="repeated",topic="[^"]+"\} ([\d.e+]+)$', re.MULTILINE)


class Gauges:
    """Looks at every process once a second, from the beginning of a row to its end."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._client = httpx.AsyncClient(timeout=2)
        self._repeated: dict[int, float] = {}
        self._base: dict[str, int] = {}
        self._most: dict[str, int] = defaultdict(int)
        self._repeated_before: dict[int, float] = {}

    async def __aenter__(self) -> "Gauges":
        await self._look()
        self._base, self._repeated_before = dict(self._most), dict(self._repeated)
        self._task = asyncio.create_task(self._go_on(), name="gauges")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._client.aclose()

    @property
    def growth_mb(self) -> dict[str, float]:
        """By how much each service's memory grew at most, in megabytes."""
        return {name: (most - self._base.get(name, most)) / 1e6 for name, most in self._most.items()}

    @property
    def repeats_dropped(self) -> int:
        """How many repeats the consumers met; those that a process met in the second before it was killed are lost."""
        return int(sum(count - self._repeated_before.get(pid, 0) for pid, count in self._repeated.items()))

    async def _go_on(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(1)

    async def _look(self) -> None:
        for name, process in list(self._system.processes.items()):
            with contextlib.suppress(psutil.NoSuchProcess):
                memory = psutil.Process(process.pid).memory_info().rss
                self._most[name] = max(self._most[name], memory)
            with contextlib.suppress(httpx.TransportError):
                text = (await self._client.get(f"{self._system.url(name)}/metrics")).text
                self._repeated[process.pid] = sum(float(count) for count in _REPEATED.findall(text))


async def first_progress(system: System, services: Iterable[str], since: datetime, patience: float) -> float | None:
    """Seconds from `since` until each of the services has taken an event; None when one has not."""

    async def of(service: str) -> None:
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                async with system.admin(service) as database:
                    while not await database.fetchval("SELECT true FROM inbox WHERE received_at > $1 LIMIT 1", since):
                        await asyncio.sleep(0.1)
                    return
            await asyncio.sleep(0.2)

    begun = since.timestamp()
    try:
        async with asyncio.timeout(patience):
            await asyncio.gather(*map(of, services))
    except TimeoutError:
        return None
    return time.time() - begun


async def come_to_rest(system: System, log: Log, patience: float) -> tuple[float, str]:
    """Wait until nothing is under way, and tell how many seconds that took and, in vain, what still is."""
    begun = time.monotonic()
    left = "everything"
    while time.monotonic() - begun < patience:
        try:
            left = await _under_way(system, log)
        except (OSError, asyncpg.PostgresError, KafkaError, TimeoutError) as failure:
            left = f"{type(failure).__name__}: {failure}"
        if not left:
            return time.monotonic() - begun, ""
        await asyncio.sleep(0.3)
    return patience, left


async def _under_way(system: System, log: Log) -> str:
    async with asyncio.timeout(30):
        await system.all_present()
    # Events last, once more: a record or an email may have led to one.
    for look in (_events_under_way, _parked, _queued, _events_under_way):
        if left := await look(system, log):
            return left
    return ""


async def _events_under_way(system: System, log: Log) -> str:
    for service in SERVICES:
        async with system.admin(service) as database:
            if waiting := await database.fetchval("SELECT count(*) FROM outbox"):
                return f"{waiting} events in the outbox of {service}"
    lag = await log.lag()
    return f"lag {lag}" if lag else ""


async def _parked(system: System, _: Log) -> str:
    for service in SERVICES:
        async with system.admin(service) as database:
            if parked := await database.fetchval("SELECT count(*) FROM dead_letters WHERE awaits IS NOT NULL"):
                return f"{parked} records parked in {service}"
    return ""


async def _queued(system: System, _: Log) -> str:
    async with system.admin("notifier") as database:
        if queued := await database.fetchval("SELECT count(*) FROM emails WHERE state = 'queued'"):
            if not system.mailbox.conversations:
                # Nobody has one in hand, for who has is connected: these are put off, or leased by the dead.
                # Time passes.
                await database.execute("UPDATE emails SET due_at = now(), held_until = NULL WHERE state = 'queued'")
            return f"{queued} emails"
    return ""
