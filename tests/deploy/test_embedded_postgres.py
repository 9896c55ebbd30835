"""PostgreSQL from a wheel keeps its promises."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from deploy.postgres import embedded
from deploy.postgres.embedded import EmbeddedPostgres, PostgresServer
from deploy.server_process import free_port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One for all tests here; each uses databases of its own and leaves it running."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("embedded") / "postgres", durable=False)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.destroy()


async def test_a_database_can_be_used_at_the_url_it_was_made_with(server: EmbeddedPostgres) -> None:
    """The URL is all a service needs."""
    assert await one(server.create_database("usable"), "SELECT current_database()") == "usable"


async def test_making_a_database_again_changes_nothing(server: EmbeddedPostgres) -> None:
    """A warm start may ask for every database anew."""
    await one(server.create_database("repeated"), "CREATE TABLE kept ()")

    assert await one(server.create_database("repeated"), "SELECT count(*) FROM kept") == 0


async def test_a_copy_has_what_its_template_had(server: EmbeddedPostgres) -> None:
    """Tests copy a migrated database instead of migrating each."""
    await one(server.create_database("migrated"), "CREATE TABLE copied ()")

    assert await one(server.create_database('a "copy"', template="migrated"), "SELECT count(*) FROM copied") == 0


async def test_a_database_in_use_can_be_dropped(server: EmbeddedPostgres) -> None:
    """A test that left a connection open does not stop the others."""
    held = await asyncpg.connect(server.create_database("dropped"))

    server.drop_database("dropped")
    server.drop_database("dropped")

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(server.url("dropped"))
    await held.close()


async def test_text_sorts_by_code_point_and_every_letter_has_its_case(server: EmbeddedPostgres) -> None:
    """The machine's language changes neither order nor letters."""
    url = server.create_database("sorted")

    assert await one(url, "SELECT string_agg(t, '' ORDER BY t) FROM unnest('{b,a,B,ä}'::text[]) AS t") == "Babä"
    assert await one(url, "SELECT upper('straße é')") == "STRAßE É"
    assert await one(url, "SHOW timezone") == "UTC"


async def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres) -> None:
    """Other users of the machine cannot read tickets."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.url("postgres"), password="wrong")


async def test_data_and_password_survive_a_stop(server: EmbeddedPostgres) -> None:
    """A sandbox started again is the same sandbox."""
    await one(server.create_database("stopped"), "CREATE TABLE kept ()")

    server.stop()
    server.start()

    assert await one(server.url("stopped"), "SELECT count(*) FROM kept") == 0


async def test_it_starts_after_it_was_killed(server: EmbeddedPostgres) -> None:
    """What SIGKILL leaves behind is cleared away."""
    await one(server.create_database("killed"), "CREATE TABLE kept ()")
    os.kill(int((server.folder / "data/postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    server.stop()
    server.start()

    assert await one(server.url("killed"), "SELECT count(*) FROM kept") == 0


async def test_a_kill_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    """Tests of an outage can kill the server; it comes back on the port it was given."""
    postgres = EmbeddedPostgres(tmp_path / "postgres", free_port(), durable=False)
    try:
        postgres.start()
        await one(postgres.create_database("kept"), "CREATE TABLE kept ()")
        before = postgres.url("kept")

        postgres.kill()
        postgres.start()

        assert postgres.url("kept") == before
        assert await one(before, "SELECT count(*) FROM kept") == 0
    finally:
        postgres.destroy()


async def test_it_starts_when_another_process_has_the_number_of_the_dead_server(
    server: EmbeddedPostgres,
) -> None:
    """In a container the same few process numbers come back at every start."""
    server.stop()
    (server.folder / "data/postmaster.pid").write_text(f"{os.getppid()}\n/elsewhere\n1\n5432\n\n127.0.0.1\n")

    server.start()

    assert await one(server.admin_url, "SELECT 1") == 1


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    """No server is left on the machine of somebody who closed the terminal."""
    code = (
        "import sys, time; from pathlib import Path; from deploy.postgres.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]), durable=False); server.start()\n"
        "print((server.folder / 'data/postmaster.pid').read_text().split()[0], flush=True); time.sleep(60)"
    )
    folder = tmp_path / "postgres"
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        server = int(owner.stdout.readline())
        owner.kill()

    assert gone_within(10, server)
    EmbeddedPostgres(folder).destroy()


def test_a_failed_start_tells_why(tmp_path: Path) -> None:
    """The end of the server's log is in the error."""
    first = EmbeddedPostgres(tmp_path / "first", durable=False)
    first.start()
    second = EmbeddedPostgres(tmp_path / "second", port=urlsplit(first.admin_url).port)
    try:
        with pytest.raises(RuntimeError, match="Address already in use"):
            second.start()
    finally:
        second.destroy()
        first.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has this problem")
@pytest.mark.parametrize("durable", [True, False])
async def test_root_can_keep_it_where_nobody_else_may_look(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout below /root works, and none of its folders is opened to others."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = embedded.installation().parent
    for installed in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(installed, closed / installed.name, ignore=shutil.ignore_patterns("pginstall"))
    server = EmbeddedPostgres(closed / "postgres", durable=durable)
    with tempfile.TemporaryDirectory() as state, monkeypatch.context() as patched:
        patched.setattr(embedded, "installation", lambda: closed / package.name / "pginstall18")
        patched.setattr(embedded, "ROOT_STATE", Path(state))

        server.start()
        try:
            assert await one(server.admin_url, "SELECT 1") == 1
            assert closed.stat().st_mode & 0o777 == 0o700
            elsewhere = (closed / "postgres" / "data").resolve()
            assert elsewhere.is_relative_to(state) == durable
        finally:
            server.destroy()
        assert not elsewhere.exists()


async def test_the_server_of_the_test_run_makes_and_drops_databases(postgres_server: PostgresServer) -> None:
    """Wherever the tests' PostgreSQL comes from."""
    url = postgres_server.create_database("closeloop_probe")

    assert await one(url, "SELECT current_database()") == "closeloop_probe"
    postgres_server.drop_database("closeloop_probe")


async def one(url: str, statement: str) -> object:
    """Run a statement and return the first value of its result."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def gone_within(seconds: float, pid: int) -> bool:
    """Whether a process ends in time."""
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        if not psutil.pid_exists(pid):
            return True
        time.sleep(0.05)
    return False
