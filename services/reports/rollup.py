"""The rollups `csat_daily`, `csat_kinds` and `csat_cells`: what reports add up, so that one costs days, not ratings.

Whoever changes what is counted does it with a statement of `counted`. It makes the changes, sees from RETURNING what
each row was before and what it is now, and adds the differences to each rollup: one less where the old row counted,
one more where the new one does. What changes nothing adds nothing, so events may repeat and come in any order, and at
every commit the rollups equal a count of the rows. At that commit CHANNEL is told whose figures changed, see live.py.

The statements are text: SQLAlchemy would spend 7 ms on each to put them together, PostgreSQL takes 0.2 ms for a row.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import TextClause, inspect, text
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.tables import CsatCell, CsatCounts, CsatDaily, CsatKind, Rating, SkippedSurvey

CHANNEL = "csat_changed"
TELL = text(f"SELECT pg_notify('{CHANNEL}', json_build_array(CAST(:account_id AS text), NULL)::text)")
"""Tells of an account whose pages changed otherwise than by an event."""

COUNTS = tuple(CsatCounts.__annotations__)
KEYS = {
    rollup.__tablename__: tuple(column.name for column in rollup.__table__.columns if column.name not in COUNTS)
    for rollup in (CsatDaily, CsatKind, CsatCell)
}
"""What each rollup counts by. The others' keys are parts of the cells'."""

_NAMES = f"CAST('{{{','.join(COUNTS)}}}' AS text[])"
_PLACES = {
    Rating: f"((it).created_day, array_position({_NAMES}, (it).state)),"
    f" ((it).submitted_day, array_position({_NAMES}, 'score_' || (it).score))",
    SkippedSurvey: f"((it).skipped_day, array_position({_NAMES}, 'skipped_' || (it).reason))",
}
"""On which of its days a row counts, and as which of COUNTS: by number, since each is compared with all of them."""

ONLY_WRITER = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.csat_daily', 0))")
"""Waits until no other transaction changes the read model of this schema, and keeps others from it until the end."""


def counted(
    table: type[Rating] | type[SkippedSurvey],
    columns: Sequence[str],
    *,
    additions: Sequence[str] = (),
    first_by: str = "",
) -> TextClause:
    """Write the statement that makes rows of `columns` and `additions`, its parameters a list of each, and counts them.

    A row that exists gets the `additions` alone, and only where it has none or the new ones come before them by
    `first_by`, an SQL expression in which `{row}` stands for the row that has them. Of several new ones of one row, the
    first by `first_by` is taken, of equals the first in the list.
    """
    name, key = table.__tablename__, ", ".join(column.name for column in inspect(table).primary_key)
    conflict, order = "NOTHING", key
    if additions:
        own = ", ".join(f"{column} = excluded.{column}" for column in additions)
        there, new = first_by.format(row=name), first_by.format(row="excluded")
        conflict = f"UPDATE SET {own} WHERE {name}.{additions[0]} IS NULL OR {new} < {there}"
        order += f", {first_by.format(row='told')}"
    columns = (*columns, *additions)
    lists = ", ".join(f"CAST(:{column} AS {_type(table, column)}[])" for column in columns)
    listed = ", ".join(columns)
    # Integers: PostgreSQL adds up its larger ones as numerics, which takes several times as long.
    sums = ", ".join(
        f"coalesce(sum(sign) FILTER (WHERE place.number = {number}), 0)::integer AS {count}"
        for number, count in enumerate(COUNTS, start=1)
    )
    by = ", ".join("place.day" if column == "day" else f"(it).{column}" for column in KEYS["csat_cells"])
    return text(f"""
        WITH told AS (
            SELECT DISTINCT ON ({key}) {listed}
            FROM unnest({lists}) WITH ORDINALITY AS told ({listed}, place)
            ORDER BY {order}, place
        ), changed AS (
            INSERT INTO {name} ({listed})
            SELECT {listed} FROM told
            ON CONFLICT ({key}) DO {conflict}
            RETURNING old AS before, new AS after
        ), differences AS (
            SELECT {by}, {sums}
            FROM changed
            CROSS JOIN LATERAL (VALUES (-1, before), (1, after)) AS version (sign, it)
            CROSS JOIN LATERAL (VALUES {_PLACES[table]}) AS place (day, number)
            WHERE place.day IS NOT NULL
            GROUP BY {by}
        ), cells AS (
            {_add("csat_cells")}
        ), kinds AS (
            {_add("csat_kinds")}
        ), daily AS (
            {_add("csat_daily")}
            RETURNING account_id
        )
        SELECT pg_notify('{CHANNEL}', json_build_array(account_id, NULL)::text) FROM daily
        WHERE current_schema() <> 'shadow'
        GROUP BY account_id
    """)  # noqa: S608 - put together from names of ours


def _add(rollup: str) -> str:
    """Write how the differences are added to a rollup."""
    key = ", ".join(KEYS[rollup])
    counts, sums, grouped = ", ".join(COUNTS), ", ".join(f"sum({count})" for count in COUNTS), f"GROUP BY {key}"
    if rollup == "csat_cells":  # as the differences are
        sums, grouped = counts, ""
    return f"""
        INSERT INTO {rollup} AS there ({key}, {counts})
        SELECT {key}, {sums} FROM differences
        WHERE ({counts}) <> ({", ".join("0" for _ in COUNTS)})
        {grouped}
        ON CONFLICT ({key}) DO UPDATE SET {", ".join(f"{count} = there.{count} + excluded.{count}" for count in COUNTS)}
    """  # noqa: S608


def _type(table: type[Rating] | type[SkippedSurvey], column: str) -> str:
    return table.__table__.columns[column].type.compile(dialect())


async def change(session: AsyncSession, statement: TextClause, columns: Mapping[str, Sequence[Any]]) -> None:
    """Make changes of `counted`, as the only one who changes the read model until the transaction ends.

    `columns` has the values of each column, in the same order.

    Rows of the rollups are shared by tickets in no order: of two transactions that each change several, each would
    sooner or later wait for the other. So they take turns. Nobody who reads waits.
    """
    await become_the_only_writer(session)
    await session.execute(statement, columns)


async def become_the_only_writer(session: AsyncSession) -> None:
    """Be the ONLY_WRITER from here to the transaction's end. Asked again, it costs nothing."""
    # A savepoint counts as a transaction of its own: when it is rolled back, what was locked in it is let go.
    transaction = session.sync_session.get_nested_transaction() or session.sync_session.get_transaction()
    if transaction is None or session.info.get(ONLY_WRITER) is not transaction:
        await session.execute(ONLY_WRITER)
        session.info[ONLY_WRITER] = transaction
