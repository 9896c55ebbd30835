"""The daily rollup, `csat_daily`: what reports add up, so that a report costs days and agents and not ratings.

Whoever changes what is counted does it with a statement of `counted`. It makes the change, sees from RETURNING what
the row was before and what it is now, and adds the difference to the rollup: one less where the old row counted, one
more where the new one does. What changes nothing adds nothing, so events may repeat and come in any order, and at
every commit the rollup equals a count of the rows.

The statements are text: SQLAlchemy would spend 7 ms on each event to put them together, PostgreSQL takes 0.2 ms.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TextClause, inspect, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.tables import CsatDaily, Rating, SkippedSurvey

KEY = ("account_id", "day", "agent_id")
COUNTS = tuple(column.name for column in CsatDaily.__table__.columns if column.name not in KEY)

_PLACES = {
    Rating: "((it).created_day, (it).state), ((it).submitted_day, 'score_' || (it).score)",
    SkippedSurvey: "((it).skipped_day, 'skipped_' || (it).reason)",
}
"""On which of its days a row counts, and as which of COUNTS."""

ONLY_WRITER = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.csat_daily', 0))")
"""Waits until no other transaction changes the read model of this schema, and keeps others from it until the end."""


def counted(
    table: type[Rating] | type[SkippedSurvey],
    columns: Sequence[str],
    *,
    additions: Sequence[str] = (),
    first_by: str = "",
) -> TextClause:
    """Write the statement that makes a row of `columns` and `additions`, named as its parameters, and counts it.

    A row that exists gets the `additions` alone, and only where it has none or the new ones come before them by
    `first_by`, an SQL expression in which `{row}` stands for the row that has them.
    """
    name, key = table.__tablename__, (column.name for column in inspect(table).primary_key)
    conflict = "NOTHING"
    if additions:
        own = ", ".join(f"{column} = excluded.{column}" for column in additions)
        there, new = first_by.format(row=name), first_by.format(row="excluded")
        conflict = f"UPDATE SET {own} WHERE {name}.{additions[0]} IS NULL OR {new} < {there}"
    columns = (*columns, *additions)
    sums = (f"coalesce(sum(sign) FILTER (WHERE place.name = '{count}'), 0)" for count in COUNTS)
    return text(f"""
        WITH changed AS (
            INSERT INTO {name} ({", ".join(columns)})
            VALUES ({", ".join(f":{column}" for column in columns)})
            ON CONFLICT ({", ".join(key)}) DO {conflict}
            RETURNING old AS before, new AS after
        )
        INSERT INTO csat_daily AS daily ({", ".join((*KEY, *COUNTS))})
        SELECT (it).account_id, place.day, (it).agent_id, {", ".join(sums)}
        FROM changed
        CROSS JOIN LATERAL (VALUES (-1, before), (1, after)) AS version (sign, it)
        CROSS JOIN LATERAL (VALUES {_PLACES[table]}) AS place (day, name)
        WHERE place.day IS NOT NULL
        GROUP BY (it).account_id, place.day, (it).agent_id
        ON CONFLICT ({", ".join(KEY)})
        DO UPDATE SET {", ".join(f"{count} = daily.{count} + excluded.{count}" for count in COUNTS)}
    """)  # noqa: S608 - put together from names of ours


async def change(session: AsyncSession, statement: TextClause, row: Mapping[str, Any]) -> None:
    """Make a change of `counted`, as the only one who changes the read model until the transaction ends.

    Rows of the rollup are shared by tickets in no order: of two transactions that each change several, each would
    sooner or later wait for the other. So they take turns. Nobody who reads waits.
    """
    await become_the_only_writer(session)
    await session.execute(statement, row)


async def become_the_only_writer(session: AsyncSession) -> None:
    """Be the ONLY_WRITER from here to the transaction's end. Asked again, it costs nothing."""
    # A savepoint counts as a transaction of its own: when it is rolled back, what was locked in it is let go.
    transaction = session.sync_session.get_nested_transaction() or session.sync_session.get_transaction()
    if transaction is None or session.info.get(ONLY_WRITER) is not transaction:
        await session.execute(ONLY_WRITER)
        session.info[ONLY_WRITER] = transaction
