"""Schema migrations: one Alembic branch for the chassis' tables, one for the service's own, in one database."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.chassis.database import ChassisTable, async_driver
from shared.chassis.tenancy import SEE_EVERY_ACCOUNT

_HERE = Path(__file__).parent
_LOCK = 0x6D696772617465  # "migrate"


async def migrate(url: str, versions: Path) -> None:
    """Bring a database to the newest schema. Safe to call from several replicas at once: they take turns."""
    await _run(url, lambda connection: command.upgrade(_config(connection, versions), "heads"))


async def revise(url: str, versions: Path, metadata: MetaData, message: str) -> None:
    """Write the migration from what a migrated database has to what the tables say, for a developer to read over."""

    def write(connection: Connection) -> None:
        config = _config(connection, versions)
        config.attributes["metadata"] = metadata
        branch = _branch(versions)
        first = not list(versions.glob("*.py"))
        command.revision(
            config,
            message,
            autogenerate=True,
            version_path=str(versions),
            head="base" if first else f"{branch}@head",
            branch_label=branch if first else None,
            rev_id=f"{branch}_{len(list(versions.glob('*.py'))) + 1:04}",
        )

    await _run(url, write)


async def drift(url: str, metadata: MetaData) -> list:
    """List what tables in the code and in a migrated database do not share. Empty is as it should be."""
    differences: list = []

    def compare(connection: Connection) -> None:
        for tables in (metadata, ChassisTable.metadata):
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_name": lambda name, kind, _, tables=tables: kind != "table" or name in tables.tables,
                    "compare_server_default": False,
                },
            )
            differences.extend(compare_metadata(context, tables))

    await _run(url, compare)
    return differences


async def _run(url: str, work) -> None:
    engine = create_async_engine(async_driver(url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            await connection.execute(SEE_EVERY_ACCOUNT)  # else an UPDATE of a guarded table would find no rows
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def _branch(versions: Path) -> str:
    """services/portal/migrations is the branch `portal`; ours is `chassis`."""
    return "chassis" if versions == _HERE / "versions" else versions.parent.name


def _config(connection: Connection, versions: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{_HERE / 'versions'}\n{versions}")
    config.attributes["connection"] = connection
    return config
