"""Responses as a file, however many: read by a server-side cursor from one snapshot, written and sent as they come.

Some thousand rows are in memory at a time. A reader who takes nothing for PATIENCE_SECONDS, or has not taken all within
LONGEST_SECONDS, loses the export, so that none holds a connection for ever; whatever breaks an export off shows to its
client, who misses the end.
"""

import asyncio
import csv
import io
import re
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Literal, Protocol

import anyio
import structlog
from litestar.exceptions import TooManyRequestsException
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.asked import Asked, Search
from services.reports.queries import all_responses
from services.reports.settings import ticket_url

log = structlog.get_logger()

AT_ONCE = 2
"""Exports of a replica. Each holds one of its connections for pages."""

PATIENCE_SECONDS = 60.0
LONGEST_SECONDS = 900.0

Kind = Literal["csv", "parquet"]
MEDIA_TYPES: dict[Kind, str] = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

_FACTS = (
    "survey_id",
    "ticket_id",
    "subject",
    "requester_name",
    "agent_id",
    "agent_name",
    "assignee_id",
    "assignee_name",
    "last_replier_id",
    "last_replier_name",
    "priority",
    "channel",
    "created_at",
    "submitted_at",
    "submitted_day",
    "score",
    "reason",
    "comment",
)
COLUMNS = (*_FACTS, "ticket_url")

_REPEATED = ("priority", "channel", "reason", *(name for name in _FACTS if name.startswith(("agent", "assi", "last"))))
"""Columns with few values, which a Parquet file holds once each."""


class Writer(Protocol):
    """Writes a file piece by piece."""

    rows_at_once: int

    def write(self, rows: Sequence[Row]) -> bytes:
        """Write rows and give what is ready to be sent."""
        ...

    def end(self) -> bytes:
        """Give the rest."""
        ...


class CsvWriter:
    """Writes RFC 4180 in UTF-8, every text in quotes.

    With `excel` the file begins with a byte order mark: Excel takes it for an old code page otherwise.
    """

    rows_at_once = 1000

    def __init__(self, tickets_at: str | None, *, excel: bool) -> None:
        self._tickets_at = tickets_at
        self._text = io.StringIO("\ufeff" if excel else "", newline="")
        self._text.seek(0, io.SEEK_END)
        self._csv = csv.writer(self._text, lineterminator="\r\n", quoting=csv.QUOTE_NONNUMERIC)
        self._csv.writerow(COLUMNS)

    def write(self, rows: Sequence[Row]) -> bytes:
        """Write rows and give them."""
        self._csv.writerows([_cell(value) for value in _whole(row, self._tickets_at)] for row in rows)
        return self.end()

    def end(self) -> bytes:
        """Give what was written and not given yet."""
        written = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return written


class ParquetWriter:
    """Writes Parquet, a group of rows at a time: typed columns, times in UTC."""

    rows_at_once = 10_000
    """Of a group: few enough to be held, enough to be packed well."""

    def __init__(self, tickets_at: str | None) -> None:
        import pyarrow as pa  # noqa: PLC0415 - 40 MB that nobody needs who exports no Parquet
        from pyarrow import parquet  # noqa: PLC0415

        kinds = {
            "created_at": pa.timestamp("us", tz="UTC"),
            "submitted_at": pa.timestamp("us", tz="UTC"),
            "submitted_day": pa.date32(),
            "score": pa.int8(),
            **dict.fromkeys(_REPEATED, pa.dictionary(pa.int32(), pa.string())),
        }
        self._schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
        self._batch = pa.record_batch
        self._tickets_at = tickets_at
        self._sink = _Sink()
        self._parquet = parquet.ParquetWriter(self._sink, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> bytes:
        """Write a group of rows and give it."""
        columns = zip(*(_whole(row, self._tickets_at) for row in rows), strict=True)
        self._parquet.write_batch(self._batch([list(column) for column in columns], schema=self._schema))
        return self._sink.taken()

    def end(self) -> bytes:
        """Give the last part, which tells where in the file everything is."""
        self._parquet.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """A file that is taken away while it is written, and knows how long it would be."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        self._length += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._length

    def taken(self) -> bytes:
        """Give what was written and not given yet."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _whole(row: Row, tickets_at: str | None) -> tuple[Any, ...]:
    """Give the values of COLUMNS; a row begins with its account."""
    account_id, *facts = row
    return *facts, ticket_url(tickets_at, account_id, row.ticket_id) if tickets_at else None


def _cell(value: Any) -> str | int:
    """Write a value for a spreadsheet."""
    if isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return harmless(str(value)) if value is not None else ""


def harmless(words: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula: it shows the words as they are then.

    Also where spaces, controls or invisible characters come first, and for the wide and small forms of the characters.
    Source: OWASP, "CSV Injection".
    """
    if words[:1] in {"\t", "\r", "\n"}:
        return f"'{words}"
    first = next((sign for sign in words if unicodedata.category(sign)[0] not in "CZM"), "")
    return f"'{words}" if unicodedata.normalize("NFKC", first)[:1] in _FORMULAS else words


_FORMULAS = set("=+-@\u2212")  # the last one is a minus that some programs take for one


def name_of_file(asked: Asked, kind: Kind) -> str:
    """Name the file after the account and the first and the last day."""
    account = re.sub(r"[^A-Za-z0-9.-]+", "-", asked.account.account_id)[:60]
    return f"csat_{account}_{asked.days.start}_{asked.days.last}.{kind}"


async def pieces(
    asked: Asked, search: Search, session: AsyncSession, begin: Callable[[], Writer]
) -> AsyncGenerator[bytes]:
    """Write the responses, newest first, as they were at one moment: that of the only statement that reads them."""
    responses, values = all_responses(asked, search, ("account_id", *_FACTS))
    async with session:
        # It waits for its reader, unlike all other transactions: a little longer than that is let.
        idle = f"{PATIENCE_SECONDS + 10:.0f}s"
        await session.execute(select(func.set_config("idle_in_transaction_session_timeout", idle, True)))
        # In threads: to write thousands of rows takes long enough for others to notice.
        writer = await asyncio.to_thread(begin)
        found = await session.stream(responses, values, execution_options={"yield_per": writer.rows_at_once})
        async for rows in found.partitions():
            yield await asyncio.to_thread(writer.write, rows)
        yield await asyncio.to_thread(writer.end)


class Exports:
    """The exports of this replica that are under way."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    async def start(self, made: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
        """Begin one, and give its pieces. Raises TooManyRequestsException (429), and what fails before the first."""
        if len(self._under_way) >= AT_ONCE:
            raise TooManyRequestsException("Too many exports at a time.", headers={"Retry-After": "10"})
        into, out = anyio.create_memory_object_stream[bytes](0)
        task = asyncio.create_task(_hand_over(made, into))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        try:
            first = await out.receive()
        except anyio.EndOfStream:
            out.close()
            await task
            raise
        except BaseException:
            out.close()
            task.cancel()
            raise
        return _received(first, out, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            log.warning("an export broke off", reason=type(failure).__name__)


async def _hand_over(made: AsyncGenerator[bytes], into: Any) -> None:
    async with into, aclosing(made):
        with anyio.fail_after(LONGEST_SECONDS):
            async for piece in made:
                with anyio.fail_after(PATIENCE_SECONDS):
                    await into.send(piece)


async def _received(first: bytes, out: Any, task: asyncio.Task[None]) -> AsyncIterator[bytes]:
    try:
        yield first
        async for piece in out:
            yield piece
        await task  # raises what broke it off
    finally:
        out.close()
        task.cancel()
