"""The product in containers: each service gets what it needs, and no more."""

import importlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import yaml

from deploy.kafka.jars import kafka_version
from deploy.postgres.embedded import EmbeddedPostgres, installation

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
PROGRAMS = {name: f"services.{name}" for name in ("portal", "surveys", "notifier", "reports")} | {
    "desk": "deploy.sandbox.desk"
}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of this test alone: roles belong to a whole server."""
    server = EmbeddedPostgres(tmp_path, durable=False)
    server.start()
    yield server
    server.destroy()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_service_is_told_everything_it_needs(name: str) -> None:
    """A variable that is missing here would be found by the first who starts it."""
    settings = importlib.import_module(f"{PROGRAMS[name]}.settings").Settings
    needed = {field.upper() for field, info in settings.model_fields.items() if info.is_required()}
    known = {field.upper() for field in settings.model_fields}

    assert needed <= set(SERVICES[name]["environment"])
    assert set(SERVICES[name]["environment"]) <= known


def test_the_database_has_connections_for_two_replicas_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that rolls out runs beside the one before; some connections are kept for superusers."""
    needed = {}
    for name, program in PROGRAMS.items():
        for variable, value in SERVICES[name]["environment"].items():
            monkeypatch.setenv(variable, re.sub(r"\$\{[^}]*?(?::-(.*?))?\}", default_or_secret, value))
        settings = importlib.import_module(f"{program}.settings").Settings.from_environment()
        service = importlib.import_module(f"{program}.app").create_service(settings)
        needed[name] = str(service.most_connections)
    most = int(SERVICES["postgres"]["command"][-1].removeprefix("max_connections="))
    operations = (DEPLOY.parent / "docs/operations.md").read_text()

    assert 2 * sum(map(int, needed.values())) <= most - 3
    assert dict(re.findall(r"^\| (\w+) \| (\d+) \|$", operations, re.MULTILINE)) == needed


def default_or_secret(found: re.Match[str]) -> str:
    """What stands in the place of a variable of Compose's."""
    return "x" * 32 if found[1] is None else found[1]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_service_waits_for_its_tables_and_topics(name: str) -> None:
    """No service starts on a database without tables or a broker without topics."""
    completed = {"condition": "service_completed_successfully"}
    migrate = SERVICES[f"{name}-migrate"]

    assert SERVICES[name]["depends_on"] == {"topics": completed, f"{name}-migrate": completed}
    assert SERVICES[name]["command"] == ["python", "-m", PROGRAMS[name], "run"]
    assert migrate["command"] == ["python", "-m", PROGRAMS[name], "migrate"]
    assert migrate["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert migrate["environment"] == SERVICES[name]["environment"]
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}


def test_nothing_has_more_rights_than_it_needs() -> None:
    """Whoever breaks into a container finds little to work with."""
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only") or name in ("kafka", "postgres"), name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
    assert re.search(r"^USER \d+:\d+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_each_service_has_a_role_and_a_database_of_its_own() -> None:
    """Who reads one service's settings can read one service's data."""
    for name in PROGRAMS:
        url = SERVICES[name]["environment"]["DATABASE_URL"]
        password = f"${{{name.upper()}_DB_PASSWORD:?see deploy/.env.example}}"
        assert url == f"postgresql://{name}:{password}@postgres:5432/{name}"


def test_every_secret_must_be_given_and_is_in_the_example() -> None:
    """There is no default password to forget about."""
    text = (DEPLOY / "compose.yaml").read_text()
    example = dict(
        line.split("=", 1) for line in (DEPLOY / ".env.example").read_text().splitlines() if re.match(r"[A-Z]", line)
    )
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))

    assert all(name.endswith(("_PASSWORD", "_SECRET_KEY")) for name in required)
    assert example == dict.fromkeys(required, "") | optional
    assert not re.search(r"\$\{\w+\}", text)


def test_the_broker_is_the_one_that_the_tests_run_on() -> None:
    """What was tested is what is deployed."""
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


async def test_the_databases_open_to_their_own_role_only(own_server: EmbeddedPostgres) -> None:
    """A service cannot read its neighbour's tables, not even with the neighbour's address."""
    make_databases(own_server)

    for role in PROGRAMS:
        await make_a_table(own_server, role, database=role)
        for other in {*PROGRAMS, "postgres", "template1"} - {role}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await make_a_table(own_server, role, database=other)


def test_docker_accepts_the_file(tmp_path: Path) -> None:
    """The file means to Docker Compose what it means to us."""
    if run("docker", "compose", "version").returncode:
        pytest.skip("Docker Compose is not installed")
    given = tmp_path / "env"
    given.write_text((DEPLOY / ".env.example").read_text().replace("=\n", "=given\n"))
    command = ("docker", "compose", "--file", str(DEPLOY / "compose.yaml"), "--profile", "demo", "--env-file")

    accepted = run(*command, str(given), "config", "--quiet")
    refused = run(*command, os.devnull, "config", "--quiet")

    assert (accepted.returncode, accepted.stdout) == (0, "")
    assert "see deploy/.env.example" in refused.stdout


def make_databases(server: EmbeddedPostgres) -> None:
    """Run init.sql as the PostgreSQL image does: with psql, stopping at the first error."""
    url = urlsplit(server.admin_url)
    done = run(
        str(installation() / "bin" / "psql"),
        *("--host", str(url.hostname), "--port", str(url.port), "--username", str(url.username)),
        *("--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", str(DEPLOY / "postgres" / "init.sql")),
        PGPASSWORD=str(url.password),
        **{f"{name.upper()}_DB_PASSWORD": f"secret of {name}" for name in PROGRAMS},
    )
    assert done.returncode == 0, done.stdout


async def make_a_table(server: EmbeddedPostgres, role: str, database: str) -> None:
    """Connect as a service would, and use the right a migration needs."""
    connection = await asyncpg.connect(server.url(database), user=role, password=f"secret of {role}")
    await connection.execute("CREATE TABLE made ()")
    await connection.close()


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program, with more in its environment, and keep what it says."""
    return subprocess.run(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
