"""What a fault is given: the running system under load, a seeded dice, and words for what it expects."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.kafka.native import NativeKafka
from tests.faults.journal import Journal
from tests.faults.log import Log
from tests.faults.oracles import Evidence, Violation
from tests.faults.system import System
from tests.faults.visits import Visitors
from tests.faults.workload import Workload
from tests.product import SERVICES, HelpDesk


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How hard and how long a row runs, and what counts as too slow. Seconds, megabytes, operations a second."""

    rate: float = 25.0
    baseline: float = 3.0
    after: float = 3.0
    stretch: float = 1.0
    """Faults that last some time last so many times as long, and batches are so many times as large."""
    short: bool = False
    """What is done several times is done once."""
    progress: float = 10.0
    progress_after_rebalance: float = 20.0
    drained: float = 30.0
    patience: float = 60.0
    """How long anything else is waited for."""
    growth_mb: float = 100.0
    latency_ratio: float = 3.0
    quick: float = 0.25
    """What is answered sooner than this is never too slow."""
    stop_seconds: float = 20.0
    backlog: int = 50_000

    def allowing(self, times: float) -> "Pace":
        """The same with limits so many times as wide, for a machine that has other things to do."""
        return replace(
            self,
            progress=self.progress * times,
            progress_after_rebalance=self.progress_after_rebalance * times,
            drained=self.drained * times,
            patience=self.patience * times,
            latency_ratio=self.latency_ratio * times,
            quick=self.quick * times,
        )


SHORT = Pace(rate=10, baseline=2, after=1, stretch=0.15, short=True, backlog=5_000)
"""A little load, and each fault once and not for long."""


@dataclass(kw_only=True)
class Scene:
    """One row while it is played."""

    system: System
    kafka: NativeKafka | None
    helpdesk: HelpDesk
    workload: Workload
    visitors: Visitors
    journal: Journal
    log: Log
    rng: random.Random
    pace: Pace
    victims: set[str] = field(default_factory=lambda: set(SERVICES))
    """Services whose progress after healing is awaited."""
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    expected_dead: set[tuple[str, str, int, int]] = field(default_factory=set)
    """Service, topic, partition and offset of the poison."""
    allowed_repeats: int = 0
    undeliverable: set[str] = field(default_factory=set)
    rebalances: bool = False
    progress: Callable[[], bool] | None = None
    """What counts as the first progress where it is not an event that a victim takes."""
    afterwards: list[Callable[[Evidence], Awaitable[None]]] = field(default_factory=list)
    """What is looked at when everything has come to rest, before the oracles judge."""

    async def under_load(self, seconds: float) -> None:
        """Let the workload go on."""
        await asyncio.sleep(seconds)

    async def lasting(self, seconds: float) -> None:
        """Let a fault last."""
        await asyncio.sleep(seconds * self.pace.stretch)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something for some time, and tell whether it came."""
        give_up_at = time.monotonic() + seconds
        while not condition() and time.monotonic() < give_up_at:
            await asyncio.sleep(0.05)
        return condition()

    async def did(self, deed: str, **facts: Any) -> None:
        """Note what the nemesis did."""
        await self.journal.nemesis(deed, **facts)

    def demand(self, holds: bool, oracle: str, text: str) -> None:
        """Note a violation unless something holds."""
        if not holds:
            self.violations.append(Violation(oracle, text))


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of the matrix."""

    id: str
    title: str
    inject: Callable[[Scene], Awaitable[None]]
    """Breaks something under load and heals it."""
