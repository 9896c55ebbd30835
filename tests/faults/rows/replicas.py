"""F6 to F8: two replicas of a service, of which one hangs, wakes as a zombie, or is replaced."""

import asyncio
import os
import signal
import time

import psutil
from confluent_kafka.admin import AdminClient

from tests.faults.log import GROUPS
from tests.faults.scene import Fault, Scene

FROZEN_SECONDS = 12.0
"""Twice the session time-out of a run."""

_RELAY = """
SELECT activity.pid, client_port FROM pg_locks JOIN pg_stat_activity activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid = 99 AND objid = 1819243365
AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
""".replace("pg_locks JOIN", "pg_locks locks JOIN")


async def leader(scene: Scene, service: str) -> tuple[str, int] | None:
    """Which replica's relay leads, and the process id of its database session."""
    async with scene.system.admin(service) as database:
        row = await database.fetchrow(_RELAY)
    for name, process in scene.system.processes.items():
        if row and process.running:
            ports = {connection.laddr.port for connection in psutil.Process(process.pid).net_connections("tcp")}
            if row["client_port"] in ports:
                return name, row["pid"]
    return None


async def freeze_the_leader(scene: Scene) -> None:
    """The relay's leader hangs and loses its session; a standby leads; the zombie wakes with events in hand."""
    scene.victims, scene.rebalances = {"portal"}, True
    await scene.system.add_replica("portal-2")
    await scene.under_load(2)
    led = await leader(scene, "portal")
    assert led, "no relay leads"
    frozen, session = led
    await scene.did("freeze the relay's leader", replica=frozen)
    async with scene.system.freeze(frozen):
        await scene.under_load(1)
        async with scene.system.admin("portal") as database:
            await database.fetchval("SELECT pg_terminate_backend($1)", session)
        await scene.under_load(2)
        heir = await leader(scene, "portal")
        scene.demand(heir is not None and heir[0] != frozen, "O9", "no standby leads the relay after 2 s")
        await scene.lasting(FROZEN_SECONDS)
    await scene.under_load(3)
    scene.figures["stop s"] = round(await scene.system.remove_replica("portal-2"), 1)


async def freeze_a_consumer(scene: Scene) -> None:
    """A consumer hangs beyond its session, once with its offsets, once with its effects in hand; another takes over."""
    scene.victims, scene.rebalances = {"surveys"}, True
    await scene.system.add_replica("surveys-2")
    await scene.under_load(2)
    for point in ("before ack", "before commit"):
        await sleep_at(scene, "surveys", point)
        await scene.under_load(2)
    scene.figures["stop s"] = round(await scene.system.remove_replica("surveys-2"), 1)


async def sleep_at(scene: Scene, name: str, point: str) -> None:
    """Have a replica stop itself at a point, and wake it when its session is long over."""
    system = scene.system
    process = psutil.Process(system.processes[name].pid)
    system.rotation[name].remove(name)
    system.levers(name).stop_at(point, scene.rng.randint(1, 4))
    asleep = await scene.until(lambda: process.status() == psutil.STATUS_STOPPED, 15)
    await scene.did("asleep", replica=name, point=point, asleep=asleep)
    scene.demand(asleep, "O9", f"{name} never came to the point {point!r}")
    with system.absent(name, "process"):
        await scene.lasting(FROZEN_SECONDS if asleep else 0)
        system.levers(name).release()
        os.kill(process.pid, signal.SIGCONT)
    system.rotation[name].append(name)
    await all_take_part(scene, name, replicas=2)


async def all_take_part(scene: Scene, service: str, *, replicas: int) -> None:
    """Wait until each replica has partitions of every topic again, a zombie too: else it would idle for ever."""
    groups = [group for _, group in GROUPS if group.startswith(f"{service}.")]
    admin = AdminClient({"bootstrap.servers": scene.system.kafka})

    def shares() -> dict[str, list[int]]:
        described = {group: done.result() for group, done in admin.describe_consumer_groups(groups).items()}
        return {
            group: [len(member.assignment.topic_partitions) for member in description.members]
            for group, description in described.items()
        }

    limit = time.monotonic() + scene.pace.progress_after_rebalance
    while not all(len(each) == replicas and all(each) for each in (await asyncio.to_thread(shares)).values()):
        if time.monotonic() > limit:
            scene.demand(False, "O9", f"partitions of each replica: {await asyncio.to_thread(shares)}")
            return
        await asyncio.sleep(0.5)


async def roll(scene: Scene) -> None:
    """SIGTERM to one replica after the other, twice round; visitors are sent to the other one."""
    scene.victims, scene.rebalances = {"reports", "surveys"}, True
    stops: list[float] = []

    async def restart_in_turn(service: str) -> None:
        await scene.system.add_replica(f"{service}-2")
        for _ in range(2):
            for name in (service, f"{service}-2"):
                await scene.under_load(scene.rng.uniform(0.5, 1.5))
                await scene.did("stop in order", replica=name)
                stops.append(await scene.system.remove_replica(name))
                await scene.system.add_replica(name)
        stops.append(await scene.system.remove_replica(f"{service}-2"))

    await asyncio.gather(*map(restart_in_turn, ("reports", "surveys")))
    scene.figures["stop s"] = round(max(stops), 1)
    scene.demand(max(stops) < scene.pace.stop_seconds, "O9", f"a stop took {max(stops):.1f} s")


REPLICAS = [
    Fault("F6", "relay's leader hangs, standby leads, zombie wakes", freeze_the_leader),
    Fault("F7", "consumer hangs beyond its session, zombie wakes", freeze_a_consumer),
    Fault("F8", "rolling SIGTERM of two replicas, reports and surveys", roll),
]
