"""The real parts of a run: Kafka, a PostgreSQL server for each service, the system between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from deploy.kafka.native import NativeKafka
from deploy.kafka.topics import provision
from deploy.postgres.embedded import EmbeddedPostgres, PostgresServer
from deploy.server_process import free_port
from shared.chassis.cluster import Cluster
from tests.faults.journal import Journal
from tests.faults.log import Log
from tests.faults.run import Run
from tests.faults.scene import Pace
from tests.faults.system import System
from tests.product import SERVICES, HelpDesk


@contextlib.asynccontextmanager
async def own_parts(folder: Path) -> AsyncIterator[tuple[NativeKafka, Mapping[str, EmbeddedPostgres]]]:
    """Start a broker and a database server for each service, on ports that stay theirs."""
    kafka = NativeKafka(folder / "kafka")
    servers = {name: EmbeddedPostgres(folder / f"postgres-{name}", free_port(), durable=False) for name in SERVICES}
    try:
        await asyncio.gather(*(asyncio.to_thread(part.start) for part in (kafka, *servers.values())))
        await provision(Cluster(kafka.bootstrap_servers))
        yield kafka, servers
    finally:
        await asyncio.gather(
            asyncio.to_thread(kafka.kill), *(asyncio.to_thread(server.destroy) for server in servers.values())
        )


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    servers: Mapping[str, PostgresServer],
    bootstrap_servers: str,
    *,
    seed: str,
    pace: Pace,
    kafka: NativeKafka | None = None,
) -> AsyncIterator[Run]:
    """Start the product and everything a run needs."""
    system = System(folder, servers, bootstrap_servers)
    helpdesk = HelpDesk(bootstrap_servers, request_timeout_ms=60_000)
    journal = Journal(folder / "journal.jsonl")
    log = Log(bootstrap_servers)
    try:
        await system.start()
        await helpdesk.start()
        yield Run(
            system=system,
            kafka=kafka,
            helpdesk=helpdesk,
            journal=journal,
            log=log,
            seed=seed,
            pace=pace,
        )
    finally:
        await system.close()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(helpdesk.stop(), 10)
            await asyncio.wait_for(log.close(), 10)
        await journal.close()
