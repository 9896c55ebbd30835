"""Whether the daily rollup says what the ratings say, counted anew and apart from how the rollup is kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from typing import get_args

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from services.reports.rollup import COUNTS, KEY, become_the_only_writer
from services.reports.satisfaction import Reason
from shared.chassis.tenancy import SEE_EVERY_ACCOUNT

TABLES = ("ratings", "skipped_surveys", "csat_daily")
"""The read model: what is counted, and the count. Accounts and keys are no part of it."""

_COUNTED = {
    ("ratings", "submitted_day"): {f"score_{score}": f"score = {score}" for score in range(1, 6)},
    ("ratings", "created_day"): {
        state: f"state = '{state}'" for state in ("pending", "submitted", "expired", "withdrawn", "undeliverable")
    },
    ("skipped_surveys", "skipped_day"): {f"skipped_{reason}": f"reason = '{reason}'" for reason in get_args(Reason)},
}


def _count_anew() -> str:
    """Count an account's ratings and skipped surveys: several rows for one day of an agent, to be added up."""
    parts = []
    for (table, day), conditions in _COUNTED.items():
        counts = (f"count(*) FILTER (WHERE {conditions[name]})" if name in conditions else "0" for name in COUNTS)
        parts.append(
            f"SELECT account_id, {day}, agent_id, {', '.join(counts)} FROM {table}"  # noqa: S608 - names of ours
            f" WHERE account_id = :account_id AND {day} IS NOT NULL GROUP BY account_id, {day}, agent_id"
        )
    return " UNION ALL ".join(parts)


def _sums(side: str) -> str:
    return f"ARRAY[{', '.join(f'coalesce(sum({name}) FILTER (WHERE {side}), 0)' for name in COUNTS)}]::bigint[]"


_COLUMNS = ", ".join((*KEY, *COUNTS))
_DIFFERENCES = text(f"""
    SELECT day, agent_id, rollup, ratings
    FROM (
        SELECT day, agent_id, {_sums("is_rollup")} AS rollup, {_sums("NOT is_rollup")} AS ratings
        FROM (
            SELECT true AS is_rollup, {_COLUMNS} FROM csat_daily WHERE account_id = :account_id
            UNION ALL
            SELECT false AS is_rollup, anew.* FROM ({_count_anew()}) AS anew ({_COLUMNS})
        ) AS counts
        GROUP BY day, agent_id
    ) AS days
    WHERE rollup <> ratings
    ORDER BY day, agent_id
""")  # noqa: S608
_RECOUNT = text(f"""
    INSERT INTO csat_daily ({_COLUMNS})
    SELECT {", ".join(KEY)}, {", ".join(f"sum({name})" for name in COUNTS)}
    FROM ({_count_anew()}) AS anew ({_COLUMNS})
    GROUP BY {", ".join(KEY)}
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Difference:
    """A count that the rollup has as `rollup` and the ratings as `ratings`. `agent_id` None is nobody."""

    account_id: str
    day: date
    agent_id: str | None
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
    """Compare an account's rollup with its ratings, day by day and agent by agent. Empty is as it should be."""
    rows = await connection.execute(_DIFFERENCES, {"account_id": account_id})
    return [
        Difference(account_id, day, agent_id, *counts)
        for day, agent_id, rollup, ratings in rows
        for counts in zip(COUNTS, rollup, ratings, strict=True)
        if counts[1] != counts[2]
    ]


async def recount(session: AsyncSession, account_id: str) -> None:
    """Make an account's rollup anew from its ratings. Events wait until the transaction ends, readers do not."""
    await become_the_only_writer(session)
    await session.execute(text("DELETE FROM csat_daily WHERE account_id = :account_id"), {"account_id": account_id})
    await session.execute(_RECOUNT, {"account_id": account_id})
