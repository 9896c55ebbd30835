"""F9 and F10: Kafka is down, killed, frozen, or not there at the start."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from deploy.kafka.native import NativeKafka
from tests.faults.scene import Fault, Scene
from tests.product import SERVICES

Outage = Callable[[Scene, NativeKafka], Awaitable[None]]


async def down(scene: Scene, kafka: NativeKafka) -> None:
    """Stopped in order for half a minute."""
    await asyncio.to_thread(kafka.stop)
    await scene.lasting(30)
    await asyncio.to_thread(kafka.start)


async def killed(_: Scene, kafka: NativeKafka) -> None:
    """SIGKILL, and started at once."""
    await asyncio.to_thread(kafka.kill)
    await asyncio.to_thread(kafka.start)


async def frozen(scene: Scene, kafka: NativeKafka) -> None:
    """SIGSTOP: all connections stay open and nothing answers."""
    kafka.pause()
    try:
        await scene.lasting(15)
    finally:
        kafka.resume()


def without_kafka(outage: Outage) -> Callable[[Scene], Awaitable[None]]:
    """Take replies and ratings as before, and no slower."""

    async def inject(scene: Scene) -> None:
        assert scene.kafka
        scene.rebalances = True
        await scene.under_load(3)  # a longer baseline: answers are compared with it
        begun = time.time()
        await scene.did(f"Kafka {outage.__name__}")
        await outage(scene, scene.kafka)
        before = _p99(scene, 0, begun)
        during = _p99(scene, begun, time.time())
        scene.figures["POST p99 ms"] = f"{before * 1000:.0f} -> {during * 1000:.0f}"
        scene.demand(
            during <= max(before * scene.pace.latency_ratio, scene.pace.quick),
            "O8",
            f"POSTs were slower: p99 {before:.3f} s before, {during:.3f} s meanwhile",
        )

    return inject


def _p99(scene: Scene, since: float, until: float) -> float:
    seconds = sorted(
        visit.seconds for visit in scene.visitors.visits if visit.method == "POST" and since <= visit.began < until
    )
    return seconds[int(len(seconds) * 0.99)] if seconds else 0.0


async def absent_at_start(scene: Scene) -> None:
    """Every service starts while Kafka is away: it serves, says that it is degraded, and hears when Kafka comes."""
    assert scene.kafka
    scene.rebalances = True
    await asyncio.to_thread(scene.kafka.stop)
    for name in SERVICES:
        scene.system.kill(name)
    await scene.under_load(0.2)
    await scene.system.all_present()
    await scene.did("all services run without Kafka")
    for name in SERVICES:
        answer = await scene.system.http.get(f"{scene.system.url(name)}/health/ready")
        said = answer.status_code, answer.json()["status"]
        scene.demand(said == (200, "degraded"), "O8", f"{name} without Kafka is {said}")
    await scene.under_load(3)
    await asyncio.to_thread(scene.kafka.start)
    scene.allowed_repeats = 4


KAFKA = [
    Fault("F9a", "Kafka down 30 s", without_kafka(down)),
    Fault("F9b", "Kafka kill -9", without_kafka(killed)),
    Fault("F9c", "Kafka SIGSTOP 15 s", without_kafka(frozen)),
    Fault("F10", "services start without Kafka", absent_at_start),
]
