"""F5: services crash at the exact points between a commit, its publication, its effect and its acknowledgement."""

from tests.faults.oracles import Evidence
from tests.faults.rows.kills import LANES
from tests.faults.scene import Fault, Scene

BATCH = 500
"""Events that the relay sends before it deletes them."""

# Each service at a point of its own, all at about the same time.
ROUNDS: tuple[dict[str, str], ...] = (
    {"portal": "after commit", "surveys": "after send", "notifier": "after 250", "reports": "before ack"},
    {"portal": "after send", "surveys": "after delete", "notifier": "before ack"},
    {"portal": "before ack", "surveys": "after commit", "notifier": "after 250"},
    {"portal": "after delete", "surveys": "before ack", "notifier": "before commit"},
)


async def crash(scene: Scene) -> None:
    """os._exit(137) at the chosen passage; the supervisor brings them back."""
    scene.allowed_repeats = LANES * sum("notifier" in places for places in ROUNDS)
    for places in ROUNDS[:1] if scene.pace.short else ROUNDS:
        for name, point in places.items():
            scene.system.means(name)
            scene.system.levers(name).crash_at(point, scene.rng.randint(1, 6))
        await scene.did("crash points are set", **places)
        for name, point in places.items():
            reached = await scene.until(lambda name=name: scene.system.levers(name).reached, scene.pace.patience)
            scene.demand(reached or point == "before commit", "O9", f"{name} never came to the point {point!r}")
            if not reached:
                scene.system.levers(name).release()
        await scene.under_load(0.2)
        await scene.system.all_present()

    async def repeats_are_few(evidence: Evidence) -> None:
        names = [(entry.topic, entry.name) for entry in evidence.log]
        count = len(names) - len(set(names))
        scene.demand(1 <= count <= 2 * BATCH, "O2", f"{count} repeats in the log of two crashes after sending")

    scene.afterwards.append(repeats_are_few)


CRASHES = [Fault("F5", "crash at exact points", crash)]
