"""Plays a row: accounts, load, baseline, fault, healing, rest, judgement."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from deploy.kafka.native import NativeKafka
from tests.faults.desk import Desk
from tests.faults.evidence import Evidence, gather
from tests.faults.gauges import Gauges, come_to_rest, first_progress
from tests.faults.journal import Journal, operations_in
from tests.faults.log import Log
from tests.faults.oracles import Violation, judge
from tests.faults.oracles.emails import repeats
from tests.faults.oracles.service import failed
from tests.faults.readers import Readers
from tests.faults.scene import Fault, Pace, Scene
from tests.faults.system import System
from tests.faults.visits import Visitors
from tests.faults.workload import Workload
from tests.product import SERVICES, HelpDesk

LATE_ACCOUNT_SECONDS = 1.0


@dataclass(slots=True)
class Result:
    """One row of the table."""

    fault: Fault
    figures: dict[str, Any] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    look: Callable[[], Awaitable[Evidence]] | None = None
    """Gathers the row's evidence anew."""

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations


@dataclass(kw_only=True)
class Run:
    """A system and what all rows share."""

    system: System
    kafka: NativeKafka | None
    helpdesk: HelpDesk
    journal: Journal
    log: Log
    seed: str
    pace: Pace

    async def play(self, fault: Fault) -> Result:
        """Play one row. Raises nothing but what is wrong with the harness itself."""
        name = fault.id.lower()
        desk = Desk(name, random.Random(f"{self.seed}/{name}/desk"))
        visitors = Visitors(self.system)
        workload = Workload(name, desk, helpdesk=self.helpdesk, visitors=visitors, journal=self.journal, seed=self.seed)
        self.system.mailbox.listener = workload.got_mail
        scene = Scene(
            system=self.system,
            kafka=self.kafka,
            helpdesk=self.helpdesk,
            workload=workload,
            visitors=visitors,
            journal=self.journal,
            log=self.log,
            rng=random.Random(f"{self.seed}/{name}"),
            pace=self.pace,
        )
        result = Result(fault)
        begun, since = time.monotonic(), datetime.now(UTC)
        letters_before, exits_before = len(self.system.mailbox.letters), len(self.system.exits)
        await self.journal.nemesis(f"{fault.id} begins", seed=self.seed, title=fault.title)
        readers = Readers(self.system, visitors, desk.account_ids, random.Random(f"{self.seed}/{name}/readers"))
        async with Gauges(self.system) as gauges:
            try:
                async with readers:
                    await self._play(scene, fault, desk, result)
                # Longer than is allowed: judged in motion, it would be blamed for more, and so would later rows.
                rested, left = await come_to_rest(self.system, self.log, 5 * self.pace.drained)
                await self.journal.nemesis("rest", seconds=round(rested, 1), left=left)
                result.figures["drain s"] = round(rested, 1)
                scene.demand(rested <= self.pace.drained, "O9", f"drained after {rested:.1f} s {left}")
                result.look = partial(
                    gather,
                    system=self.system,
                    log=self.log,
                    desk=desk,
                    operations=operations_in(self.journal.path, name),
                    visits=visitors.visits,
                    since=since,
                    letters_before=letters_before,
                )
                evidence = await result.look()
                for look in scene.afterwards:
                    await look(evidence)
            finally:
                await workload.stop(patience=5)
                await visitors.close()
        evidence.expected_dead = scene.expected_dead
        evidence.allowed_repeats = scene.allowed_repeats
        evidence.undeliverable = frozenset(scene.undeliverable)
        growth = max(gauges.growth_mb.values(), default=0.0)
        scene.demand(growth <= self.pace.growth_mb, "O9", f"memory grew by {growth:.0f} MB: {gauges.growth_mb}")
        unmeant = [one for one in self.system.exits[exits_before:] if not one.meant]
        scene.demand(not unmeant, "O9", f"ended by itself: {[(one.replica, one.code) for one in unmeant]}")
        result.violations = [*scene.violations, *readers.violations, *judge(evidence)]
        result.figures |= _counted(evidence) | {
            "repeats dropped": gauges.repeats_dropped,
            "memory MB": round(growth),
            "seconds": round(time.monotonic() - begun),
            **scene.figures,
        }
        await self.journal.nemesis(
            f"{fault.id} ends", figures=result.figures, violations=[str(found) for found in result.violations]
        )
        return result

    async def _play(self, scene: Scene, fault: Fault, desk: Desk, result: Result) -> None:
        *accounts, late = desk.accounts()
        await self.helpdesk.publishes(*accounts)
        scene.workload.start(self.pace.rate)
        await asyncio.sleep(LATE_ACCOUNT_SECONDS)  # what is heard of the last one until then waits for it
        await self.helpdesk.publishes(late)
        await asyncio.sleep(max(self.pace.baseline - LATE_ACCOUNT_SECONDS, 0))
        await scene.did("load stands")
        await fault.inject(scene)
        healed = datetime.now(UTC)
        await scene.did("healed")
        limit = self.pace.progress_after_rebalance if scene.rebalances else self.pace.progress
        if scene.progress or scene.victims:
            progress, _ = await asyncio.gather(self._progress(scene, healed), asyncio.sleep(self.pace.after))
            result.figures["progress s"] = None if progress is None else round(progress, 1)
            scene.demand(progress is not None and progress <= limit, "O9", f"first progress after {progress} s")
        await scene.workload.stop()

    async def _progress(self, scene: Scene, healed: datetime) -> float | None:
        if scene.progress is None:
            return await first_progress(self.system, scene.victims, healed, self.pace.patience)
        came = await scene.until(scene.progress, self.pace.patience)
        return time.time() - healed.timestamp() if came else None


def _counted(evidence: Evidence) -> dict[str, Any]:
    outcomes = Counter(operation.outcome for operation in evidence.operations.values())
    distinct = len({(entry.topic, entry.name) for entry in evidence.log})
    posts = sorted(visit.seconds for visit in evidence.visits if visit.method == "POST")
    failures = list(failed(evidence))
    return {
        "ok": outcomes["ok"],
        "fail": outcomes["fail"],
        "unknown": outcomes["unknown"],
        "events": distinct,
        "repeats in log": len(evidence.log) - distinct,
        "emails": len(evidence.letters),
        "emails again": repeats(evidence),
        "dead letters": len(evidence.dead),
        "5xx": sum(visit.status is not None for visit in failures),
        "cut off": sum(visit.status is None for visit in failures),
        "POST ms": [round(1000 * posts[int(len(posts) * share)]) for share in (0.5, 0.95, 0.99)] if posts else [],
    }


__all__ = ["SERVICES", "Result", "Run"]
