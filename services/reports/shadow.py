"""A second read model, in the schema `shadow`: filled beside the one that is read, and then put in its place.

Its tables are made from the definitions of tables.py and the chassis, so that after the swap every index and constraint
has the name it has in a migrated database. Accounts and keys are no part of it: whoever looks them up finds the live
ones, whose schema comes next in the search path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import TopicPartition
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Text,
    column,
    exists,
    func,
    select,
    table,
    text,
    update,
)
from sqlalchemy import Table as CoreTable
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.sql.elements import quoted_name

from services.reports.rollup import CHANNEL, COUNTS, KEYS
from services.reports.tables import Account, Table
from services.reports.verification import TABLES
from shared.chassis.database import ChassisTable, sessions_of
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.tenancy import EVERY_ACCOUNT, SEE_EVERY_ACCOUNT, guard

SCHEMA = "shadow"
PLACE = ("topic", "partition", "offset", "timestamp")
SWAP_WAITS_MS = 300
"""How long the swap waits for those who read, and they behind it. Shorter than a second, after which PostgreSQL looks
for deadlocks and may end somebody else."""

_MARK = "A read model of closeloop reports, being rebuilt at "

_own = MetaData()
_progress = CoreTable(
    "progress",
    _own,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)


class NotOurs(Exception):
    """The schema `shadow` was made by somebody else. For people."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """A table's rows, live and rebuilt."""

    table: str
    live: int
    rebuilt: int


@dataclass(frozen=True, slots=True)
class Comparison(Sizes):
    """With those that are in one of them alone. A row that differs is in both of these counts."""

    only_live: int
    only_rebuilt: int


class Shadow:
    """The read model being rebuilt. `live` is the name of the schema that is read meanwhile, quoted."""

    def __init__(self, database_url: str, *, live: str, search_path: str) -> None:
        self._live = live
        settings = {
            "application_name": "closeloop-reports-rebuild",
            "search_path": f"{SCHEMA}, {search_path}",
            # What a crash of the server takes back, it takes back together with the progress that was made.
            "synchronous_commit": "off",
            EVERY_ACCOUNT: "on",
        }
        # Without the service's limit of time: some of these statements look at every rating.
        self.engine = create_async_engine(database_url, connect_args={"server_settings": settings})
        self.sessions = sessions_of(self.engine)

    @classmethod
    async def beside(cls, live: AsyncConnection, database_url: str) -> "Shadow":
        """Make one for the database that `live` is connected to."""
        found = await live.execute(text("SELECT quote_ident(current_schema()), current_setting('search_path')"))
        schema, search_path = found.one()
        return cls(database_url, live=schema, search_path=search_path)

    async def prepare(self, *, restart: bool) -> None:
        """Make the tables, or go on with those of a rebuild that did not end, unless `restart` or another release's.

        Raises NotOurs.
        """
        schema = text("SELECT oid, obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :name")
        revision = text(f"SELECT string_agg(version_num, ' ' ORDER BY 1) FROM {self._live}.alembic_version")  # noqa: S608
        async with self.engine.begin() as connection:
            found = (await connection.execute(schema, {"name": SCHEMA})).first()
            mark = _MARK + str(await connection.scalar(revision))
            if found and not str(found[1]).startswith(_MARK):
                raise NotOurs(f"The schema {SCHEMA} was not made by a rebuild. Rename it, or drop it, first.")
            if found and found[1] == mark and not restart:
                return
            await connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
            await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            await connection.execute(text(f"COMMENT ON SCHEMA {SCHEMA} IS '{mark}'"))
            await connection.run_sync(_make_tables)
            # Of who was erased, nothing is to be read back from the log; who is from now on, the log tells.
            known = ", ".join(f'"{column.name}"' for column in Table.metadata.tables["erasures"].columns)
            await connection.execute(
                text(f"INSERT INTO {SCHEMA}.erasures ({known}) SELECT {known} FROM {self._live}.erasures")  # noqa: S608
            )

    async def places(self) -> dict[TopicPartition, int]:
        """Tell how far the log has been read."""
        async with self.engine.connect() as connection:
            rows = await connection.execute(select(_progress))
            return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}

    async def save(self, places: Mapping[TopicPartition, int]) -> None:
        """Remember how far the log has been read. After the effects: a record that is read twice has one effect."""
        if not places:
            return
        statement = insert(_progress)
        statement = statement.on_conflict_do_update(
            index_elements=["topic", "partition"], set_={"next_offset": statement.excluded.next_offset}
        )
        rows = [
            {"topic": partition.topic, "partition": partition.partition, "next_offset": offset}
            for partition, offset in places.items()
        ]
        async with self.engine.begin() as connection:
            await connection.execute(statement, rows)

    async def letters_of_known_accounts(self) -> Sequence[DeadLetter]:
        """Find records that awaited an account which the service has heard of by now."""
        known = select(Account.account_id)
        async with self.sessions() as session:
            found = await session.scalars(
                select(DeadLetter).where(DeadLetter.awaits.in_(known)).order_by(DeadLetter.topic, DeadLetter.id)
            )
            return found.all()

    async def expect_nothing_more_of(self, letters: Sequence[DeadLetter]) -> None:
        """Make ordinary dead letters of those that still have no effect, though what they awaited is there."""
        async with self.engine.begin() as connection:
            ids = [letter.id for letter in letters]
            await connection.execute(update(DeadLetter).where(DeadLetter.id.in_(ids)).values(awaits=None))

    async def lost_letters(self) -> Sequence[DeadLetter]:
        """Find records without effect that are not among the service's own dead letters: for it they had theirs."""
        own = table("dead_letters", *map(column, PLACE), schema=quoted_name(self._live, quote=False)).alias("own")
        also_there = exists().where(*(own.c[name] == getattr(DeadLetter, name) for name in PLACE))
        is_dead = DeadLetter.awaits.is_(None)
        async with self.sessions() as session:
            return (await session.scalars(select(DeadLetter).where(is_dead, ~also_there).order_by(DeadLetter.id))).all()

    async def tidy(self) -> None:
        """Give the planner its statistics, and index-only scans their map, before anybody reads."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in TABLES:
                await connection.execute(text(f"VACUUM (ANALYZE) {SCHEMA}.{table}"))

    async def sizes(self) -> list[Sizes]:
        """Count both read models' rows."""
        async with self.engine.connect() as connection:
            return [Sizes(name, *[await _count(connection, table) for table in self._both(name)]) for name in TABLES]

    async def compare(self, connection: AsyncConnection) -> list[Comparison]:
        """Compare both read models, row by row and column by column, as `connection` sees them."""
        found = []
        for name in TABLES:
            columns = ", ".join(f'"{column.name}"' for column in Table.metadata.tables[name].columns)
            # Where an answer that counted was replaced by an earlier one, a row of zeros may be left. It says nothing.
            something = f"WHERE ({', '.join(COUNTS)}) <> ({', '.join('0' for _ in COUNTS)})" if name in KEYS else ""
            live, rebuilt = (f"(SELECT {columns} FROM {table} {something})" for table in self._both(name))  # noqa: S608
            rows = (live, rebuilt, f"({live} EXCEPT {rebuilt})", f"({rebuilt} EXCEPT {live})")
            found.append(Comparison(name, *[await _count(connection, some) for some in rows]))
        return found

    def _both(self, table: str) -> tuple[str, str]:
        return f"{self._live}.{table}", f"{SCHEMA}.{table}"

    async def take_the_place(self, live: AsyncConnection) -> None:
        """Drop the live read model and put this one in its place, when `live`'s transaction commits.

        Who reads waits at most SWAP_WAITS_MS and then reads the new tables. Raises when somebody still reads by then.
        """
        await live.execute(text(f"SET LOCAL lock_timeout = {SWAP_WAITS_MS}"))
        tables = ", ".join(f"{self._live}.{name}" for name in TABLES)
        await live.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"))
        await live.execute(text(f"DROP TABLE {tables}"))
        for name in TABLES:
            await live.execute(text(f"ALTER TABLE {SCHEMA}.{name} SET SCHEMA {self._live}"))
        await live.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
        # Whoever has a page open sees the old figures.
        await live.execute(SEE_EVERY_ACCOUNT)
        await live.execute(select(func.pg_notify(CHANNEL, func.json_build_array(Account.account_id, None).cast(Text))))


def _make_tables(connection: Connection) -> None:
    """Make them in the first schema of the search path.

    The outbox as well: what handlers say was said when it happened, and is dropped with the schema. So are erasures,
    which the live table has with what they came to.
    """
    tables = [Table.metadata.tables[name] for name in (*TABLES, "erasures")]
    Table.metadata.create_all(connection, tables, checkfirst=False)
    ChassisTable.metadata.create_all(connection, checkfirst=False)
    _own.create_all(connection, checkfirst=False)
    for guarded in tables:
        for statement in guard(guarded.name):
            connection.execute(text(statement))


async def _count(connection: AsyncConnection, rows: str) -> int:
    return await connection.scalar(text(f"SELECT count(*) FROM {rows} AS counted")) or 0  # noqa: S608 - names of ours
