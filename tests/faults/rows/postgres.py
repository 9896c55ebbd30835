"""F11 and F12: the PostgreSQL of one service goes away, or says no."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg

from deploy.postgres.embedded import EmbeddedPostgres
from tests.faults.processes import frozen
from tests.faults.scene import Fault, Scene

LANES = 4

Outage = Callable[[Scene, str], Awaitable[None]]


async def restarted(scene: Scene, service: str) -> None:
    """Fast shutdown and start."""
    server = _embedded(scene, service)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def killed(scene: Scene, service: str) -> None:
    """SIGKILL, away for two seconds, and recovery from the log."""
    server = _embedded(scene, service)
    await asyncio.to_thread(server.kill)
    await scene.lasting(2)
    await asyncio.to_thread(server.start)


async def hung(scene: Scene, service: str) -> None:
    """SIGSTOP of the server and all its children."""
    with frozen(_embedded(scene, service).pid):
        await scene.lasting(10)


async def terminated(scene: Scene, service: str) -> None:
    """pg_terminate_backend of every session of the service, three times."""
    for _ in range(1 if scene.pace.short else 3):
        await terminate_sessions(scene, service)
        await scene.under_load(0.7)


async def exhausted(scene: Scene, service: str) -> None:
    """No connection is left for the service."""
    role = scene.system.role(service)
    async with scene.system.admin(service) as database:
        await database.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        await terminate_sessions(scene, service)
        await scene.lasting(5)
        await database.execute(f"ALTER ROLE {role} CONNECTION LIMIT -1")


async def terminate_sessions(scene: Scene, service: str) -> None:
    """Cut every connection of a service to its database."""
    async with scene.system.admin(service) as database:
        await database.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{scene.system.role(service)}'"
        )


def without_database(outage: Outage, service: str) -> Callable[[Scene], Awaitable[None]]:
    """Only the pages of that service fail, with 503 and Retry-After."""

    async def inject(scene: Scene) -> None:
        scene.victims = {service}
        if service == "notifier":
            scene.allowed_repeats = LANES * 3  # cut between the server's 250 and the commit
        await scene.did(f"PostgreSQL {outage.__name__}", service=service)
        with scene.system.absent(service, "database"):
            await outage(scene, service)

    return inject


def _embedded(scene: Scene, service: str) -> EmbeddedPostgres:
    server = scene.system.servers[service]
    assert isinstance(server, EmbeddedPostgres)
    return server


_REFUSALS = """
CREATE FUNCTION faults.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF random() < 0.02 THEN
        RAISE EXCEPTION 'injected' USING ERRCODE = (ARRAY['40001', '40P01', '55P03'])[1 + floor(random() * 3)];
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION faults.refuse();
"""
TABLES = {"portal": "messages", "surveys": "surveys", "notifier": "emails", "reports": "ratings"}


@contextlib.asynccontextmanager
async def refusals(scene: Scene) -> AsyncIterator[None]:
    """Have every fiftieth row refused as by a serialization failure, a deadlock or a lock that is not available."""
    for service, table in TABLES.items():
        async with scene.system.admin(service) as database:
            await database.execute(_REFUSALS.format(table=table))
    try:
        yield
    finally:
        for service in TABLES:
            async with scene.system.admin(service) as database:
                await database.execute("DROP FUNCTION faults.refuse CASCADE")


async def contradicted(scene: Scene) -> None:
    """Refusals by rule in each service, and real deadlocks in the portal."""
    scene.allowed_repeats = 40  # the notifier's own commit after a 250 may be refused, too
    with contextlib.ExitStack() as absences:
        for service in TABLES:
            absences.enter_context(scene.system.absent(service, "database"))
        async with refusals(scene):
            deadlocks = 0
            for _ in range(6):
                deadlocks += await _deadlock(scene)
                await scene.lasting(0.5)
    scene.figures["own deadlocks"] = deadlocks


async def _deadlock(scene: Scene) -> bool:
    """Lock tickets against the order in which the portal does; tell whether it was us that PostgreSQL ended."""
    async with scene.system.admin("portal") as database:
        with contextlib.suppress(asyncpg.DeadlockDetectedError):
            async with database.transaction():
                for key in sorted({(case.account_id, case.ticket_id) for case in scene.workload.desk.cases})[::-1]:
                    query = "SELECT 1 FROM tickets WHERE account_id = $1 AND ticket_id = $2 FOR UPDATE"
                    await database.execute(query, *key)
            return False
    return True


POSTGRES = [
    Fault("F11a", "PostgreSQL of portal restarted", without_database(restarted, "portal")),
    Fault("F11b", "PostgreSQL of surveys kill -9", without_database(killed, "surveys")),
    Fault("F11c", "PostgreSQL of portal SIGSTOP 10 s", without_database(hung, "portal")),
    Fault("F11d", "every session of notifier terminated x3", without_database(terminated, "notifier")),
    Fault("F11e", "no connection left for surveys", without_database(exhausted, "surveys")),
    Fault("F12", "serialization failures, deadlocks, locks not available", contradicted),
]
