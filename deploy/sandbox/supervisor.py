"""Starts the parts in order, tells when each is ready, starts again what ends by itself, and stops all in reverse."""

import asyncio
import fcntl
import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from aiokafka.errors import KafkaError

from deploy.kafka import topics
from deploy.kafka.embedded import EmbeddedBroker
from deploy.postgres.embedded import EmbeddedPostgres, PostgresServer
from deploy.sandbox.desk.demo import AGENTS
from deploy.sandbox.layout import PROGRAMS, ROOT, Layout, NotStarted
from deploy.server_process import ServerProcess
from shared.chassis.cluster import Cluster
from shared.chassis.migrations import migrate

READY_SECONDS = 60.0
STOP_SECONDS = 25.0
RESTART_SECONDS = 1.0


class Supervisor:
    """Runs the programs of one layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._processes: dict[str, ServerProcess] = {}
        self._started_at = time.monotonic()

    async def run(self) -> None:
        """Start, announce, and supervise until Ctrl-C or SIGTERM."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        with ExitStack() as parts:
            parts.enter_context(_only_one(self._layout.folder))
            self._layout.refuse_taken_ports()
            try:
                await _unless(stop, self._start(parts))
                if not stop.is_set():
                    self._announce_all()
                    await _unless(stop, self._supervise())
            finally:
                print("\nStopping …", flush=True)
                await self._stop_programs()
        print("Stopped. Your data is kept; `make sandbox-reset` deletes it.", flush=True)

    async def _start(self, parts: ExitStack) -> None:
        print("Starting the closeloop sandbox (Ctrl-C stops it)\n", flush=True)
        assets = asyncio.create_task(self._fetch_assets())
        try:
            database, kafka = await asyncio.gather(
                asyncio.to_thread(self._start_database, parts), asyncio.to_thread(self._start_kafka, parts)
            )
            if self._layout.given_kafka:
                await topics.provision(Cluster(kafka))
            urls = {name: await asyncio.to_thread(database.create_database, name) for name in PROGRAMS}
        except (RuntimeError, KafkaError) as reason:
            raise NotStarted(str(reason)) from reason
        for name in PROGRAMS:
            await migrate(urls[name], _migrations(name))
        self._announce("Databases", f"migrated: {', '.join(PROGRAMS)}")
        await assets
        self._environments = self._layout.environments(urls, kafka)
        for name in PROGRAMS:
            self._start_program(name)
        await asyncio.gather(*(self._ready(name) for name in PROGRAMS))
        await self._make_portal_key()
        await self._make_reports_keys()

    def _start_database(self, parts: ExitStack) -> PostgresServer:
        if url := self._layout.given_database:
            self._announce("PostgreSQL", "the one of DATABASE_URL")
            return PostgresServer(url)
        server = EmbeddedPostgres(self._layout.folder / "postgres")
        server.start()
        parts.callback(server.stop)
        self._announce("PostgreSQL", "18, embedded; data in .sandbox/postgres")
        return server

    def _start_kafka(self, parts: ExitStack) -> str:
        if servers := self._layout.given_kafka:
            self._announce("Kafka", f"the one at {servers}")
            return servers
        broker = EmbeddedBroker({topic.name: 1 for topic in topics.load()})
        broker.start()
        parts.callback(broker.stop)
        self._announce("Kafka", f"embedded broker at {broker.bootstrap_servers}; events are in memory only")
        return broker.bootstrap_servers

    async def _fetch_assets(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.assets", "--optional", cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        said = output.decode().strip().splitlines()
        self._announce("Front-end files", said[-1] if said else "in place")

    async def _make_portal_key(self) -> None:
        """Have the portal make a key to its attachments for the desk, as an operator would, once."""
        file = self._layout.portal_key_file
        if not file.exists():
            key = await _create_key("portal", self._environments["portal"], "--platform")
            file.touch(mode=0o600)
            file.write_text(key)

    async def _make_reports_keys(self) -> None:
        """Have reports make an API key for each of the demo's accounts, as an operator would, once."""
        if self._layout.keys_file.exists():
            return
        environment = self._environments["reports"]
        keys = await asyncio.gather(*(_create_key("reports", environment, account) for account in AGENTS))
        self._layout.keys_file.touch(mode=0o600)
        self._layout.keys_file.write_text(json.dumps(dict(zip(AGENTS, keys, strict=True))))
        self._announce("API keys", "of reports, for both demo accounts: .sandbox/reports-keys.json")

    def _start_program(self, name: str) -> None:
        logs = self._layout.folder / "logs"
        logs.mkdir(exist_ok=True)
        self._processes[name] = ServerProcess(
            [sys.executable, "-m", PROGRAMS[name], "run"],
            logs / f"{name}.log",
            signal.SIGTERM,
            env=self._environments[name],
        )

    async def _ready(self, name: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while (state := await asyncio.to_thread(_health, f"{self._layout.url(name)}/health/ready")) != "ok":
            if not self._processes[name].running or time.monotonic() > deadline:
                raise NotStarted(f"{name} does not start ({state}); see .sandbox/logs/{name}.log")
            await asyncio.sleep(0.1)
        self._announce(name, self._layout.url(name))

    async def _supervise(self) -> None:
        """Start again what ended by itself, as a process manager would."""
        while True:
            await asyncio.sleep(RESTART_SECONDS)
            for name, process in list(self._processes.items()):
                if not process.running:
                    print(f"  ! {name} ended; starting it again (see .sandbox/logs/{name}.log)", flush=True)
                    await asyncio.to_thread(process.stop, signal.SIGTERM)  # it ended; its watcher has not
                    self._start_program(name)

    async def _stop_programs(self) -> None:
        # The desk first: what it published is still taken by the others.
        for names in (("desk",), ("portal", "surveys"), ("notifier", "reports")):
            await asyncio.gather(
                *(
                    asyncio.to_thread(self._processes[name].stop, signal.SIGTERM, STOP_SECONDS)
                    for name in names
                    if name in self._processes
                )
            )

    def _announce(self, part: str, text: str) -> None:
        print(f"  ✓ {part:<16}{text}  ({time.monotonic() - self._started_at:.1f} s)", flush=True)

    def _announce_all(self) -> None:
        print(f"\n  Ready. Open  {self._layout.url('desk')}\n", flush=True)


def is_running(folder: Path) -> bool:
    """Tell whether a sandbox runs on this folder."""
    try:
        with _only_one(folder):
            return False
    except NotStarted:
        return True


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NotStarted("The sandbox is running already.") from None
        yield


async def _unless(stop: asyncio.Event, work) -> None:
    """Do `work`, or give it up when `stop` is set."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        doing.result()
    else:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


async def _create_key(service: str, environment: Mapping[str, str], opens: str) -> str:
    """Make a key once the service has heard of the account, which the desk publishes at its first start."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"services.{service}", "keys", "create", opens, "--name", "sandbox"),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        output, _ = await process.communicate()
        if keys := [word for word in output.decode().split() if word.startswith("cl_")]:
            return keys[0]
    raise NotStarted(f"{service} makes no key for {opens}; see .sandbox/logs")


def _migrations(name: str) -> Path:
    return ROOT / Path(*PROGRAMS[name].split(".")) / "migrations"


def _health(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310 - our own address
            return json.load(answer)["status"]
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return "no answer"
