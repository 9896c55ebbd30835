"""The product under test with all its parts, which can be killed, frozen, doubled and brought back.

Each service has a PostgreSQL server and a role of its own, so that what is done to one database is done to one service.
A supervisor starts again whatever ended, as an operator's would.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from deploy.postgres.embedded import PostgresServer
from tests.faults.levers import Levers
from tests.faults.mail import ScriptedMailbox
from tests.faults.processes import frozen
from tests.product import SERVICES, Product, service_of

RESTART_SECONDS = 1.0
SMTP_TIMEOUT_SECONDS = 6.0
PASSWORD = "nemesis"

# Every event that commits is noted in the same transaction, so that what was said can be held against Kafka's log.
_NOTES = """
CREATE SCHEMA faults;
CREATE TABLE faults.said (id bigint PRIMARY KEY, event_id uuid, topic text, key text, digest text);
CREATE FUNCTION faults.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO faults.said VALUES (NEW.id, NEW.event_id, NEW.topic, NEW.key, md5(NEW.payload));
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION faults.note();
"""


@dataclass(slots=True)
class Absence:
    """A time in which a service could not be asked, or could not ask its database."""

    service: str
    kind: Literal["process", "database"]
    since: float
    until: float = float("inf")


@dataclass(frozen=True, slots=True)
class Exit:
    """A process that ended, and whether the nemesis meant it to."""

    replica: str
    code: int
    at: float
    meant: bool


class System(Product):
    """The product with the levers of a nemesis."""

    def __init__(
        self, folder: Path, servers: Mapping[str, PostgresServer], kafka: str, *, with_launcher: bool = True
    ) -> None:
        self.mailbox: ScriptedMailbox
        super().__init__(folder, servers[SERVICES[0]], kafka, ScriptedMailbox())
        self.servers = servers
        self.absences: list[Absence] = []
        self.exits: list[Exit] = []
        self.rotation: dict[str, list[str]] = {name: [name] for name in SERVICES}
        self._with_launcher = with_launcher
        self._wanted: set[str] = set()
        self._meant: set[str] = set()
        self._levers: dict[str, Levers] = {}
        self._supervisor: asyncio.Task[None] | None = None
        self._returning: dict[str, asyncio.Task[None]] = {}
        self._health = httpx.AsyncClient(timeout=2)

    async def make_database(self, service: str) -> str:
        """Make a database that the service's own role owns."""
        role = f"{self.prefix}_{service}"
        server = self.servers[service]
        admin = await asyncpg.connect(server.admin_url)
        try:
            await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
            await admin.execute(f"CREATE DATABASE {role} OWNER {role}")
        finally:
            await admin.close()
        address = urlsplit(server.url(role))
        return urlunsplit(address._replace(netloc=f"{role}:{PASSWORD}@{address.hostname}:{address.port}"))

    def command(self, name: str) -> list[str]:
        """Start the service inside of a process that can be made to fail."""
        if not self._with_launcher:
            return super().command(name)
        return [sys.executable, "-m", "tests.faults.launcher", service_of(name), "run"]

    def environment(self, name: str) -> dict[str, str]:
        """Tell the launcher where its levers are."""
        return {
            **super().environment(name),
            "LEVERS": str(self.levers(name).path),
            "SMTP_TIMEOUT_SECONDS": str(SMTP_TIMEOUT_SECONDS),
            "TRUSTED_PROXIES": "127.0.0.0/8",  # so that visitors can come from different addresses
        }

    def levers(self, name: str) -> Levers:
        """The levers of a replica."""
        return self._levers.setdefault(name, Levers(self.folder / f"{name}.levers.json"))

    @contextlib.asynccontextmanager
    async def admin(self, service: str) -> AsyncIterator[asyncpg.Connection]:
        """A superuser's connection to a service's database, which no limit of the service's role touches."""
        connection = await asyncpg.connect(self.servers[service].url(f"{self.prefix}_{service}"))
        try:
            yield connection
        finally:
            await connection.close()

    def role(self, service: str) -> str:
        """The service's role in its database, which has the same name."""
        return f"{self.prefix}_{service}"

    async def set_up(self) -> None:
        """Make the databases, which note what is said."""
        await super().set_up()
        for service in SERVICES:
            async with self.admin(service) as admin:
                await admin.execute(_NOTES)

    async def start(self) -> None:
        """Start everything and keep it running."""
        await self.set_up()
        for name in SERVICES:
            self.launch(name)
        self._supervisor = asyncio.create_task(self._supervise(), name="supervisor")
        await asyncio.gather(*(self.is_ready(name) for name in SERVICES))

    def launch(self, name: str) -> None:
        """Start a replica, and again whenever it ends."""
        super().launch(name)
        self._wanted.add(name)

    async def add_replica(self, name: str) -> None:
        """Start another replica and send visitors there, too."""
        self.launch(name)
        await self.is_live(name)
        self.rotation[service_of(name)].append(name)

    async def remove_replica(self, name: str) -> float:
        """Send no more visitors, stop in order, and tell how many seconds that took."""
        self.rotation[service_of(name)].remove(name)
        return await self.take_down(name)

    async def take_down(self, name: str) -> float:
        """Stop a replica in order, also one that visitors are still sent to, and tell how many seconds that took."""
        self._wanted.discard(name)
        begun = time.monotonic()
        await asyncio.to_thread(self.stop, name)
        return time.monotonic() - begun

    def address(self, service: str, turn: int) -> str:
        """Where a load balancer sends a visitor."""
        replicas = self.rotation[service]
        return self.url(replicas[turn % len(replicas)])

    def kill(self, name: str) -> None:
        """End a replica as the power would; the supervisor brings it back."""
        self._meant.add(name)
        self._absence(service_of(name), "process")
        super().kill(name)

    @contextlib.asynccontextmanager
    async def freeze(self, name: str) -> AsyncIterator[None]:
        """Keep a replica where it is, out of the visitors' way if another is there."""
        service = service_of(name)
        with self.absent(service, "process"):
            alone = self.rotation[service] == [name]
            if not alone:
                self.rotation[service].remove(name)
            with frozen(self.processes[name].pid):
                yield
            if not alone:
                self.rotation[service].append(name)

    @contextlib.contextmanager
    def absent(self, service: str, kind: Literal["process", "database"]):
        """Note that something is away until the block ends."""
        absence = self._absence(service, kind)
        try:
            yield
        finally:
            absence.until = time.time()

    def means(self, name: str) -> None:
        """Expect a replica to end by itself."""
        self._meant.add(name)

    def _absence(self, service: str, kind: Literal["process", "database"], since: float | None = None) -> Absence:
        absence = Absence(service, kind, since or time.time())
        self.absences.append(absence)
        return absence

    async def all_present(self) -> None:
        """Wait until everything that ended is back."""
        while self._returning or any(not self.processes[name].running for name in self._wanted):
            await asyncio.sleep(0.05)

    async def _supervise(self) -> None:
        while True:
            for name in self._wanted - self._returning.keys():
                code = self.processes[name].exit_code
                if code is not None:
                    self.exits.append(Exit(name, code, time.time(), name in self._meant))
                    self._meant.discard(name)
                    self._returning[name] = asyncio.create_task(self._bring_back(name))
            await asyncio.sleep(0.05)

    async def _bring_back(self, name: str) -> None:
        # The process may have ended a moment before we looked.
        absence = self._absence(service_of(name), "process", time.time() - 0.5)
        try:
            await asyncio.to_thread(self.processes[name].stop, signal.SIGKILL)
            await asyncio.sleep(RESTART_SECONDS)
            self.launch(name)
            await self.is_live(name)
        finally:
            absence.until = time.time()
            for other in self.absences:
                if (other.service, other.kind) == (absence.service, "process"):
                    other.until = min(other.until, absence.until)
            del self._returning[name]

    async def is_live(self, name: str) -> None:
        """Wait until a replica answers, for as long as it runs."""
        while self.processes[name].running:
            with contextlib.suppress(httpx.TransportError):
                if (await self._health.get(f"{self.url(name)}/health/live")).status_code == 200:
                    return
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End everything, what returns included."""
        for task in (self._supervisor, *self._returning.values()):
            if task:
                task.cancel()
                await asyncio.wait([task])
        self._wanted.clear()
        await self._health.aclose()
        await super().close()
