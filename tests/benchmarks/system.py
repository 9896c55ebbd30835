"""What is measured: PostgreSQL with its settings as they come, Kafka, and the service as a process of its own."""

import http.client
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from deploy.postgres.embedded import EmbeddedPostgres, PostgresServer
from deploy.server_process import ServerProcess, free_port
from services.reports import app
from services.reports.handlers import events
from services.reports.settings import Settings
from services.reports.tables import ApiKey
from shared.chassis.kafka import Consumers
from shared.chassis.lag import group_of
from shared.chassis.lifecycle import Service
from shared.chassis.migrations import migrate
from shared.public_pages.api_keys import new_key
from tests.benchmarks.data import Account
from tests.stage import OwnedDatabases, delivery_of

ROOT = Path(__file__).parents[2]
SECRET = "benchmark" * 4
PUBLIC_URL = "https://reports.example"


@contextmanager
def running_postgres(folder: Path) -> Iterator[OwnedDatabases]:
    """Start a server whose commits reach the disk; the one of DATABASE_URL where that is set."""
    if url := os.environ.get("DATABASE_URL"):
        yield OwnedDatabases(url)
        return
    server = EmbeddedPostgres(folder)
    try:
        server.start()
        yield OwnedDatabases(server.admin_url)
    finally:
        server.destroy()


class Database:
    """The database of reports: `url` is that of its role, `admin` a superuser's connection, whom no policy binds."""

    def __init__(self, server: OwnedDatabases, name: str, kafka: str) -> None:
        self._server = server
        self.name = name
        self.kafka = kafka
        self.url = ""
        self.admin: asyncpg.Connection

    async def make(self, accounts: Sequence[Account]) -> None:
        """Make it, with its accounts."""
        self._server.drop_database(self.name)
        self.url = self._server.create_database(self.name)
        await migrate(self.url, ROOT / "services/reports/migrations")
        service = self.service()
        await self.takes(service.consumers, [account.told for account in accounts])
        await service.disconnect()
        self.admin = await asyncpg.connect(self._server.url(self.name), command_timeout=None)

    async def copied(self, name: str) -> "Database":
        """Make a second one that is the same, for the same role; nothing may be connected to this one meanwhile."""
        await self.admin.close()
        copy = Database(self._server, name, self.kafka)
        self._server.drop_database(name)
        PostgresServer.create_database(self._server, name, self.name)
        copy.url = urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
        for database in (self, copy):
            database.admin = await asyncpg.connect(self._server.url(database.name), command_timeout=None)
        return copy

    async def close(self) -> None:
        """Let go of it, and delete it."""
        await self.admin.close()
        self._server.drop_database(self.name)

    def service(self) -> Service:
        """Make the service of this process, for what needs no Kafka."""
        settings = Settings(
            database_url=self.url,
            kafka_bootstrap_servers=self.kafka,
            public_url=PUBLIC_URL,
            secret_key=SecretStr(SECRET),
        )
        return app.create_service(settings)

    @staticmethod
    async def takes(consumers: Consumers, told: Sequence) -> None:
        """Have consumers take events as they would from Kafka, one batch for each topic."""
        deliveries: dict[str, list] = {}
        for event in told:
            deliveries.setdefault(event.topic, []).append(delivery_of(event))
        for topic, batch in deliveries.items():
            await consumers.by_topic[topic].take(batch)

    async def key(self, account_id: str) -> str:
        """Make a key that opens the account's reports."""
        row, key = new_key(ApiKey, "benchmark", datetime.now(UTC), account_id=account_id)
        service = self.service()
        async with service.sessions.begin() as session:
            session.add(row)
        await service.disconnect()
        return key

    def environment(self) -> dict[str, str]:
        """What the service reads at start."""
        return {
            **os.environ,
            "DATABASE_URL": self.url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "KAFKA_SESSION_TIMEOUT_MS": "6000",
            "PUBLIC_URL": PUBLIC_URL,
            "SECRET_KEY": SECRET,
            "PYTHONPATH": str(ROOT),
        }


class Reports:
    """The service, running; and a client that keeps one connection to it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._port = free_port()
        self._log = folder / f"{database.name}.log"
        self._process = ServerProcess(
            [sys.executable, "-m", "services.reports", "run"],
            self._log,
            signal.SIGTERM,
            env=database.environment() | {"PORT": str(self._port), "LOG_LEVEL": "WARNING"},
        )
        self._process.wait_until(self._lives, seconds=60)
        self._client = http.client.HTTPConnection("127.0.0.1", self._port)

    def _lives(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/health/live").is_success
        except httpx.TransportError:
            return False

    def get(self, path: str, key: str = "") -> bytes:
        """Ask for a page."""
        self._client.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = self._client.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:500]!r}")
        return body

    def reconnect(self) -> None:
        """Make a new connection with the next request: of one that nobody uses for long the server lets go."""
        self._client.close()

    def taken(self) -> dict[str, int]:
        """How many events it took since it runs, by what became of them."""
        taken: dict[str, int] = {}
        for family in text_string_to_metric_families(self.get("/metrics").decode()):
            for sample in family.samples:
                if sample.name == "closeloop_events_taken_total":
                    outcome = sample.labels["outcome"]
                    taken[outcome] = taken.get(outcome, 0) + int(sample.value)
        return taken

    def seconds_a_record(self, count: int) -> float:
        """Wait until it took so many records, and tell how long one took, from the first that was seen to the last."""
        first, begun = 0, 0.0
        while True:
            now, taken = time.perf_counter(), sum(self.taken().values())
            if taken and not first:
                first, begun = taken, now
            if taken >= count:
                return (now - begun) / (taken - first) if taken > first else (now - begun or 1e-9) / taken
            if not self._process.running:
                raise RuntimeError(self._log.read_text()[-2000:])
            time.sleep(0.2 if taken else 0.02)  # a look costs the service some milliseconds

    def stop(self) -> None:
        """End it."""
        self._client.close()
        self._process.stop(signal.SIGTERM)


_NOT_YET = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


def forget_offsets(kafka: str) -> None:
    """Have the service read every topic from its beginning when it starts next."""
    groups = [group_of("reports", event.topic) for event in events.handlers]
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 4})
    ends_at = time.monotonic() + 30
    while groups:
        left = []
        for group, done in admin.delete_consumer_groups(groups).items():
            try:
                done.result()
            except KafkaException as failure:
                error = failure.args[0]
                # A broker that has just begun is still making the topic that it keeps groups in.
                if error.code() in _NOT_YET and time.monotonic() < ends_at:
                    left.append(group)
                elif error.code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise
        if groups := left:
            time.sleep(0.2)
