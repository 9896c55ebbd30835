"""The whole product: four services as processes of their own, with real Kafka, PostgreSQL and SMTP between them.

`Product` starts, kills and restarts them. `HelpDesk` stands for the platform: it publishes events with a plain client.
A replica is named as its service, a second one `reports-2`.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.postgres.embedded import PostgresServer
from deploy.server_process import ServerProcess, free_port
from shared.chassis.migrations import migrate
from shared.contracts import Event
from tests.notifier.mailbox import Mailbox
from tests.stage import Delivery, delivery_of

ROOT = Path(__file__).parents[1]
SERVICES = ("portal", "surveys", "notifier", "reports")
KEY = "journey" * 6


def service_of(replica: str) -> str:
    """Tell which service a replica is one of."""
    return replica.partition("-")[0]


class Product:
    """Four services, their databases and a mailbox. Each method waits until what it says holds."""

    def __init__(self, folder: Path, server: PostgresServer, kafka: str, mailbox: Mailbox | None = None) -> None:
        self.folder = folder
        self._server = server
        self.kafka = kafka
        self.prefix = f"product_{uuid4().hex[:8]}"
        self.processes: dict[str, ServerProcess] = {}
        self._ports = {name: free_port() for name in SERVICES}
        self.database_urls: dict[str, str] = {}
        self.mailbox = mailbox or Mailbox()
        self.http = httpx.AsyncClient(timeout=10)

    def url(self, name: str) -> str:
        """The address of a service or of a replica."""
        return f"http://127.0.0.1:{self._ports[name]}"

    async def start(self) -> None:
        """Make the databases and start everything."""
        await self.set_up()
        for name in SERVICES:
            self.launch(name)
        await asyncio.gather(*(self.is_ready(name) for name in SERVICES))

    async def set_up(self) -> None:
        """Make the databases and open the mailbox."""
        await self.mailbox.open()
        for name in SERVICES:
            self.database_urls[name] = await self.make_database(name)
            await migrate(self.database_urls[name], ROOT / "services" / name / "migrations")

    async def make_database(self, service: str) -> str:
        """Make a service's database and give its URL."""
        return self._server.create_database(f"{self.prefix}_{service}")

    def launch(self, name: str) -> None:
        """Start a replica and do not wait for it."""
        self._ports.setdefault(name, free_port())
        self.processes[name] = ServerProcess(
            self.command(name), self.folder / f"{name}.log", signal.SIGKILL, env=self.environment(name)
        )

    def command(self, name: str) -> list[str]:
        """What starts a replica."""
        return [sys.executable, "-m", f"services.{service_of(name)}", "run"]

    def environment(self, name: str) -> dict[str, str]:
        """What a replica reads at start."""
        return {
            **{key: value for key, value in os.environ.items() if key != "DATABASE_URL"},
            "DATABASE_URL": self.database_urls[service_of(name)],
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "KAFKA_SESSION_TIMEOUT_MS": "6000",
            "PORT": str(self._ports[name]),
            "PUBLIC_URL": self.url(service_of(name)),
            "SECRET_KEY": KEY,
            "ATTACHMENTS_URL": (self.folder / "attachments").absolute().as_uri(),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.mailbox.port),
            "MAIL_FROM": "support@closeloop.example",
            "EMAILS_PER_HOUR": "100000",  # load is many emails to few people
            "PYTHONPATH": str(ROOT),
        }

    async def is_ready(self, name: str, status: str = "ok") -> None:
        """Wait until /health/ready says `status`."""

        async def ready() -> bool:
            try:
                return (await self.http.get(f"{self.url(name)}/health/ready")).json()["status"] == status
            except httpx.TransportError:
                assert self.processes[name].running, self.log(name)
                return False

        await until(ready, seconds=40)

    def log(self, name: str) -> str:
        """What a replica wrote."""
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        """End a service as the power would."""
        self.processes[name].stop(signal.SIGKILL)

    def stop(self, name: str) -> None:
        """End a service as its supervisor would."""
        self.processes[name].stop(signal.SIGTERM)

    async def close(self) -> None:
        """End everything."""
        await asyncio.gather(*(asyncio.to_thread(self.stop, name) for name in self.processes))
        await self.mailbox.close()
        await self.http.aclose()

    async def email(self, recipient: str, holding: str) -> str:
        """Wait for an email that holds a text and tell its plain part."""

        def arrived() -> str | None:
            for email in self.mailbox.letters:
                text = email.get_body(("plain",)).get_content()
                if recipient in str(email["To"]) and holding in text:
                    return text
            return None

        try:
            return await until(arrived)
        except AssertionError as late:
            for name in self.processes:
                late.add_note(f"{name}, last lines:\n" + "\n".join(self.log(name).splitlines()[-15:]))
            raise

    def emails_to(self, recipient: str) -> list[EmailMessage]:
        """Every email somebody got so far."""
        return [email for email in self.mailbox.letters if recipient in str(email["To"])]

    async def reports_key(self, account_id: str) -> str:
        """Have an operator make an API key."""

        async def made() -> str | None:
            _, output = await self.operate("reports", "keys", "create", account_id, "--name", "journey")
            return next((word for word in output.split() if word.startswith("cl_")), None)

        return await until(made, seconds=30)

    async def operate(self, service: str, *command: str) -> tuple[int | None, str]:
        """Run a command of a service's, as an operator does; give its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"services.{service}", *command),
            env=self.environment(service) | {"COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode()

    async def summary(self, key: str) -> dict[str, Any]:
        """What a dashboard reads."""
        answer = await self.http.get(
            f"{self.url('reports')}/api/v1/csat/summary", headers={"Authorization": f"Bearer {key}"}
        )
        answer.raise_for_status()
        return answer.json()


class HelpDesk:
    """Publishes events and hears what comes back, with a plain Kafka client."""

    def __init__(self, kafka: str, **options: Any) -> None:
        self.kafka = kafka
        self._producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", **options)

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def publishes(self, *events: Event) -> None:
        """Publish and wait until the broker has it."""
        for event in events:
            await (await self.sends(delivery_of(event)))

    async def sends(self, delivery: Delivery, **where: Any) -> asyncio.Future:
        """Hand a record to the client, in order; the future is the broker's word."""
        return await self._producer.send(
            delivery.topic, delivery.value, key=delivery.key, headers=list(delivery.headers), **where
        )

    async def flush(self) -> None:
        """Wait until the broker has, or has refused, everything."""
        await self._producer.flush()

    async def hears(self, topic: str, account_id: str, count: int = 1, *, quiet_seconds: float = 0) -> list[dict]:
        """Wait for `count` events of an account on a topic, then `quiet_seconds` for more that should not come."""
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        heard: list[dict] = []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 30
        try:
            while loop.time() < deadline:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for record in records:
                        if (record.key or b"").startswith(account_id.encode()):
                            heard.append(json.loads(record.value))
                            deadline = min(deadline, loop.time() + quiet_seconds) if len(heard) >= count else deadline
        finally:
            await consumer.stop()
        assert len(heard) >= count, f"{topic}: {len(heard)} of {count} events"
        return heard


async def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is true and tell what it is. How long is no promise: the machine may be busy with more."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {getattr(condition, '__qualname__', condition)}")


def link_in(text: str, path: str) -> str:
    """Find a link in an email's plain part."""
    found = re.search(rf"https?://\S+/{path}/[\w-]{{43}}", text)
    assert found, text
    return found.group()
