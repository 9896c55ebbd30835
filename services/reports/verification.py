"""Whether the rollups say what the ratings say, counted anew and apart from how the rollups are kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import get_args

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from services.reports.rollup import COUNTS, KEYS, TELL, become_the_only_writer
from services.reports.satisfaction import Reason
from shared.chassis.tenancy import SEE_EVERY_ACCOUNT

TABLES = ("ratings", "skipped_surveys", *KEYS)
"""The read model: what is counted, and the counts. Accounts and keys are no part of it."""

_COUNTED = {
    ("ratings", "submitted_day"): {f"score_{score}": f"score = {score}" for score in range(1, 6)},
    ("ratings", "created_day"): {
        state: f"state = '{state}'" for state in ("pending", "submitted", "expired", "withdrawn", "undeliverable")
    },
    ("skipped_surveys", "skipped_day"): {f"skipped_{reason}": f"reason = '{reason}'" for reason in get_args(Reason)},
}


def _count_anew(rollup: str) -> str:
    """Count an account's ratings and skipped surveys by a rollup's key: several rows for some, to be added up."""
    parts = []
    for (table, day), conditions in _COUNTED.items():
        counts = (f"count(*) FILTER (WHERE {conditions[name]})" if name in conditions else "0" for name in COUNTS)
        key = ", ".join(day if column == "day" else column for column in KEYS[rollup])
        parts.append(
            f"SELECT {key}, {', '.join(counts)} FROM {table}"  # noqa: S608 - names of ours
            f" WHERE account_id = :account_id AND {day} IS NOT NULL GROUP BY {key}"
        )
    return " UNION ALL ".join(parts)


def _sums(side: str) -> str:
    return f"ARRAY[{', '.join(f'coalesce(sum({name}) FILTER (WHERE {side}), 0)' for name in COUNTS)}]::bigint[]"


def _differences(rollup: str) -> TextClause:
    key, columns = ", ".join(KEYS[rollup]), ", ".join((*KEYS[rollup], *COUNTS))
    return text(f"""
        SELECT * FROM (
            SELECT {key}, {_sums("is_rollup")} AS rollup, {_sums("NOT is_rollup")} AS ratings
            FROM (
                SELECT true AS is_rollup, {columns} FROM {rollup} WHERE account_id = :account_id
                UNION ALL
                SELECT false AS is_rollup, anew.* FROM ({_count_anew(rollup)}) AS anew ({columns})
            ) AS counts
            GROUP BY {key}
        ) AS days
        WHERE rollup <> ratings
        ORDER BY {key}
    """)  # noqa: S608


def _recount(rollup: str) -> tuple[TextClause, TextClause]:
    key, columns = ", ".join(KEYS[rollup]), ", ".join((*KEYS[rollup], *COUNTS))
    return (
        text(f"DELETE FROM {rollup} WHERE account_id = :account_id"),  # noqa: S608
        text(f"""
            INSERT INTO {rollup} ({columns})
            SELECT {key}, {", ".join(f"sum({name})" for name in COUNTS)}
            FROM ({_count_anew(rollup)}) AS anew ({columns})
            GROUP BY {key}
        """),  # noqa: S608
    )


_DIFFERENCES = {rollup: _differences(rollup) for rollup in KEYS}
_RECOUNT = [statement for rollup in KEYS for statement in _recount(rollup)]


@dataclass(frozen=True, slots=True)
class Difference:
    """A count that a rollup has as `rollup` and the ratings as `ratings`. `whose` tells people which row of the day."""

    account_id: str
    day: date
    whose: str
    count: str
    rollup: int
    ratings: int


@asynccontextmanager
async def snapshot(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Read the read model as it is at one moment, however long it takes and whatever is written meanwhile."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with connection.begin():
            await connection.execute(SEE_EVERY_ACCOUNT)
            # Before the snapshot is taken: a table that a rebuild swaps in later would look empty in it.
            await connection.execute(text(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS SHARE MODE"))
            yield connection


async def accounts(connection: AsyncConnection) -> list[str]:
    """List every account that is known or counted."""
    return list(
        await connection.scalars(
            text("SELECT account_id FROM accounts UNION SELECT account_id FROM csat_daily ORDER BY account_id")
        )
    )


async def days(connection: AsyncConnection, account_id: str) -> int:
    """Tell how many of an account's days the rollup has something of."""
    found = await connection.scalar(
        text("SELECT count(DISTINCT day) FROM csat_daily WHERE account_id = :account_id"), {"account_id": account_id}
    )
    return found or 0


async def differences(connection: AsyncConnection, account_id: str) -> list[Difference]:
    """Compare an account's rollups with its ratings, day by day. Empty is as it should be."""
    return [
        Difference(account_id, row.day, _whose(rollup, row), *counts)
        for rollup, statement in _DIFFERENCES.items()
        for row in await connection.execute(statement, {"account_id": account_id})
        for counts in zip(COUNTS, row.rollup, row.ratings, strict=True)
        if counts[1] != counts[2]
    ]


def _whose(rollup: str, row: Row) -> str:
    if rollup == "csat_daily":
        return row.agent_id or "nobody"
    by = (column for column in KEYS[rollup] if column not in KEYS["csat_daily"] or column == "agent_id")
    return ", ".join(f"{column.removesuffix('_id').replace('_', ' ')} {getattr(row, column) or '–'}" for column in by)


async def recount(session: AsyncSession, account_id: str) -> None:
    """Make an account's rollups anew from its ratings. Events wait until the transaction ends, readers do not."""
    await become_the_only_writer(session)
    for statement in (*_RECOUNT, TELL):
        await session.execute(statement, {"account_id": account_id})
