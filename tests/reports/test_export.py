"""Exports: all responses that fit as one file, in constant memory, and nothing in it that a spreadsheet runs."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import text

from services.reports import export
from services.reports.asked import Asked, Search, Tenant
from services.reports.days import Days
from services.reports.tables import Rating
from tests.attacks.server import serving
from tests.builders import BEN, NOON, an_account
from tests.reports.told import a_key, answered, ask
from tests.stage import Stage

DAY = timedelta(days=1)
FILES = ["/responses.csv", "/responses.parquet"]

WORDS = {
    "formula": '=HYPERLINK("http://evil.example","click")',
    "sum": "+1+1",
    "minus": "-2+3",
    "at": "@SUM(A1)",
    "tab": "\tplain",
    "return": "\r=1",
    "spaces": "  \n =1+1",
    "no-break": "\u00a0=1",
    "zero-width": "\u200b\ufeff=1",
    "bidi": "\u202e=1+1\u202c",
    "wide": "＝1+1",
    "small": "﹣1",
    "real-minus": "\u2212" + "1",
    "control": "\x01\x1f=1",
    "quotes": 'She said "no", twice\r\n"again";=1+1',
    "lines": "one\ntwo\r\nthree",
    "separators": "a,b;c\td|e",
    "comma": ",=1+1",
    "plain": "Fine – 5 = 4 + 1",
    "arabic": "شكرا جزيلا",
    "mail": "ada@help.example",
    "empty": "",
}
FORMULAS = {
    *("formula", "sum", "minus", "at", "tab", "return", "spaces", "no-break", "zero-width", "bidi", "wide", "small"),
    *("real-minus", "control"),
}


async def exported(stage: Stage, path: str, **parameters: Any) -> httpx.Response:
    """Ask for a file."""
    response = await ask(stage, path, **parameters)
    assert response.status_code == 200, response.text
    return response


async def cells(stage: Stage, **parameters: Any) -> list[dict[str, str]]:
    """The rows of the CSV file as a program reads them."""
    content = (await exported(stage, "/responses.csv", **parameters)).text
    return list(csv.DictReader(io.StringIO(content, newline=""), strict=True))


async def table(stage: Stage, **parameters: Any) -> pa.Table:
    """The Parquet file as a program reads it."""
    return parquet.read_table(io.BytesIO((await exported(stage, "/responses.parquet", **parameters)).content))


async def test_no_cell_of_a_csv_file_is_a_formula_and_none_breaks_out_of_its_row(reports: Stage) -> None:
    """CSV injection (CWE-1236): what requesters write, and their names and subjects, are shown as words."""
    await reports.hears(
        an_account(),
        *(
            answered(name, 5, comment=words, subject=words or "-", requester_name=words)
            for name, words in WORDS.items()
        ),
    )

    rows = {row["survey_id"]: row for row in await cells(reports)}

    assert rows.keys() == WORDS.keys()
    for name, words in WORDS.items():
        shown = f"'{words}" if name in FORMULAS else words
        assert (rows[name]["comment"], rows[name]["requester_name"]) == (shown, shown), name
    assert rows["empty"]["subject"] == "'-"


async def test_a_parquet_file_has_the_words_as_they_were_written_and_types(reports: Stage) -> None:
    """For programs: numbers are numbers, times are in UTC, what repeats is held once."""
    await reports.hears(
        an_account(),
        *(answered(name, 4, comment=words, agent=None) for name, words in WORDS.items()),
    )

    found = await table(reports)

    assert dict(zip(found["survey_id"].to_pylist(), found["comment"].to_pylist(), strict=True)) == WORDS
    assert found.schema.field("score").type == pa.int8()
    assert found.schema.field("submitted_at").type == pa.timestamp("us", tz="UTC")
    assert found.schema.field("submitted_day").type == pa.date32()
    assert pa.types.is_dictionary(found.schema.field("priority").type)
    row = found.slice(0, 1).to_pylist()[0]
    assert (row["score"], row["submitted_at"], row["submitted_day"], row["agent_id"], row["priority"]) == (
        4,
        NOON,
        date(2026, 3, 2),
        None,
        "normal",
    )
    assert row["ticket_url"].startswith("https://desk.example/acme/T-")


async def test_both_files_hold_the_rows_of_the_list_in_its_order(
    reports: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same filters, same order, over more pieces than one."""
    monkeypatch.setattr(export.CsvWriter, "rows_at_once", 3)
    monkeypatch.setattr(export.ParquetWriter, "rows_at_once", 4)
    await reports.hears(
        an_account(),
        *(answered(f"s-{number}", number % 5 + 1, at=NOON - number * DAY / 3) for number in range(20)),
        answered("bens", 5, agent=BEN),
    )
    asked = {"agent": "ada", "score": [1, 2, 4], "key": await a_key(reports), "from_": "2026-02-25"}

    listed = (await ask(reports, "/responses", limit=100, **asked)).json()["responses"]
    rows, found = await cells(reports, **asked), await table(reports, **asked)
    content = (await exported(reports, "/responses.parquet", **asked)).content

    ids = [response["survey_id"] for response in listed]
    assert 5 < len(ids) < 20
    assert [row["survey_id"] for row in rows] == ids
    assert found["survey_id"].to_pylist() == ids
    assert tuple(rows[0]) == tuple(found.column_names) == export.COLUMNS
    assert parquet.ParquetFile(io.BytesIO(content)).num_row_groups == -(-len(ids) // 4)
    for row, response in zip(rows, listed, strict=True):
        assert row["submitted_at"] == response["submitted_at"]
        assert (row["score"], row["agent_name"]) == (str(response["score"]), response["agent_name"])


@pytest.mark.parametrize("path", FILES)
async def test_a_file_is_saved_under_the_account_and_its_days(reports: Stage, path: str) -> None:
    """A name that no id can break out of; nothing is kept on the way."""
    await reports.hears(an_account(account_id='ac"me\\../é'))

    answer = await exported(reports, path, key=await a_key(reports, 'ac"me\\../é'), from_="2026-02-01", to="2026-03-01")

    kind = path.rpartition(".")[2]
    expected = f'attachment; filename="csat_ac-me-..-_2026-02-01_2026-02-28.{kind}"'
    assert answer.headers["Content-Disposition"] == expected
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"].partition(";")[0] == export.MEDIA_TYPES[kind]  # pyright: ignore


async def test_a_file_has_nothing_of_other_accounts(reports: Stage) -> None:
    """Packed as they are, no test could find words in a Parquet file."""
    await reports.hears(an_account(), an_account(account_id="bolt"), answered("s", 5, comment="secret"))
    bolt = await a_key(reports, "bolt")

    assert await cells(reports, key=bolt) == []
    assert (await table(reports, key=bolt)).num_rows == 0
    assert (await table(reports)).num_rows == 1


async def test_without_responses_a_file_has_its_columns(reports: Stage) -> None:
    """An empty range is no broken file."""
    await reports.hears(an_account())

    answer = await exported(reports, "/responses.csv")

    assert answer.text == ",".join(f'"{name}"' for name in export.COLUMNS) + "\r\n"
    assert (await table(reports)).num_rows == 0


async def test_excel_gets_a_byte_order_mark(reports: Stage) -> None:
    """It reads UTF-8 as Windows-1252 otherwise; all others would see three odd signs."""
    await reports.hears(an_account(), answered("s", 5, comment="für Übel"))

    assert (await exported(reports, "/responses.csv", excel="true")).content.startswith(b'\xef\xbb\xbf"survey_id"')
    assert (await exported(reports, "/responses.csv")).content.startswith(b'"survey_id"')


async def many(stage: Stage, number: int) -> None:
    """Make this many responses with long comments, past the handlers."""
    await stage.hears(an_account(), answered("first", 5))
    columns = [
        column.name for column in Rating.__table__.columns if column.name not in {"survey_id", "state", "comment"}
    ]
    listed = ", ".join(columns)
    async with stage.service.sessions.begin() as session:
        await session.execute(
            text(
                f"INSERT INTO ratings (survey_id, comment, {listed})"
                f" SELECT 's-' || n, repeat('word ', 300), {listed} FROM ratings, generate_series(1, :number) n"
            ),
            {"number": number},
        )


async def no_connection_is_held(stage: Stage) -> None:
    """Wait until the service has let go of all its connections."""
    async with asyncio.timeout(30):
        while stage.service.engine.pool.checkedout():  # pyright: ignore[reportAttributeAccessIssue]
            await asyncio.sleep(0.05)


async def test_no_more_than_a_few_exports_run_and_a_slow_reader_loses_its_own(
    reports: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are for all: who reads nothing holds one for a while only, and others are told to come later."""
    monkeypatch.setattr(export, "PATIENCE_SECONDS", 3.0)
    await many(reports, 20_000)  # 30 MB, more than what lies between two programs
    headers = {"Authorization": f"Bearer {await a_key(reports)}"}
    async with serving(reports) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        address = "/api/v1/csat/responses.csv"
        async with (
            client.stream("GET", address, headers=headers) as one,
            client.stream("GET", address, headers=headers) as two,
        ):
            refused = await client.get(address, headers=headers)
            figures = await client.get("/api/v1/csat/summary", headers=headers)
            await no_connection_is_held(reports)
            with pytest.raises(httpx.RemoteProtocolError):
                await one.aread()
            with pytest.raises(httpx.RemoteProtocolError):
                await two.aread()
        again = await client.get(address, headers=headers)

    assert (refused.status_code, refused.json()["status"], refused.headers["Retry-After"]) == (429, 429, "10")
    assert figures.status_code == 200
    assert again.status_code == 200
    assert again.text.count("\r\n") == 20_002


async def test_who_reads_slowly_loses_its_export_in_the_end(reports: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two who take a piece now and then would else keep everybody's places for days."""
    monkeypatch.setattr(export, "LONGEST_SECONDS", 0.2)
    exports = export.Exports()

    async def endless():
        while True:
            yield b"piece"

    async def read_slowly(pieces: AsyncIterator[bytes]) -> None:
        async for _ in pieces:
            await asyncio.sleep(0.01)

    with pytest.raises(TimeoutError):
        await read_slowly(await exports.start(endless()))


async def test_whoever_goes_away_frees_the_connection(reports: Stage) -> None:
    """A closed tab ends the query."""
    await many(reports, 20_000)
    headers = {"Authorization": f"Bearer {await a_key(reports)}"}
    async with serving(reports) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        async with client.stream("GET", "/api/v1/csat/responses.csv", headers=headers) as answer:
            assert answer.status_code == 200
        await no_connection_is_held(reports)


@pytest.mark.parametrize("path", FILES)
async def test_what_fails_before_the_first_piece_is_an_error_and_no_file(
    reports: Stage, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that asks for a status gets one; nothing is held on to."""
    await reports.hears(an_account(), answered("s", 5))

    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(export.CsvWriter, "write", fails)
    monkeypatch.setattr(export.ParquetWriter, "write", fails)
    answers = [await ask(reports, path) for _ in range(export.AT_ONCE + 1)]

    assert {answer.status_code for answer in answers} == {503}
    assert reports.service.engine.pool.checkedout() == 0  # pyright: ignore[reportAttributeAccessIssue]


async def test_an_export_is_of_one_moment(reports: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while it runs is not in it, whatever its place in the order."""
    monkeypatch.setattr(export.CsvWriter, "rows_at_once", 1)
    await reports.hears(an_account(), *(answered(f"s-{day}", 5, at=NOON - day * DAY) for day in range(1, 6)))
    write = export.CsvWriter.write
    loop = asyncio.get_running_loop()

    def meanwhile(self: export.CsvWriter, rows: Any) -> bytes:
        late = answered("late", 1, at=datetime(2026, 2, 10, 12, tzinfo=UTC))
        asyncio.run_coroutine_threadsafe(reports.hears(late), loop).result()
        return write(self, rows)

    monkeypatch.setattr(export.CsvWriter, "write", meanwhile)

    assert [row["survey_id"] for row in await cells(reports)] == ["s-1", "s-2", "s-3", "s-4", "s-5"]


async def test_what_fails_on_the_way_leaves_a_file_without_its_end(
    reports: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part must not look like the whole: the client is told, and the connection is free for others."""
    monkeypatch.setattr(export.CsvWriter, "rows_at_once", 1)
    await reports.hears(an_account(), *(answered(f"s-{number}", 5) for number in range(5)))
    headers = {"Authorization": f"Bearer {await a_key(reports)}"}
    write, written = export.CsvWriter.write, []

    def fails_later(self: export.CsvWriter, rows: Any) -> bytes:
        written.append(rows)
        if len(written) == 3:
            raise OSError("no space")
        return write(self, rows)

    monkeypatch.setattr(export.CsvWriter, "write", fails_later)
    async with (
        serving(reports) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        client.stream("GET", "/api/v1/csat/responses.csv", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await answer.aread()

    await no_connection_is_held(reports)


async def test_a_reader_who_pauses_does_not_lose_the_transaction(
    reports: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends an idle transaction of ours within seconds; that of an export may wait for its reader."""
    monkeypatch.setattr(export.CsvWriter, "rows_at_once", 1)
    await reports.hears(an_account(), *(answered(f"s-{number}", 5) for number in range(3)))
    asked = Asked(Tenant("acme", "Acme", "#000000", "UTC"), Days(date(2026, 3, 1), date(2026, 4, 1)))
    async with reports.service.engine.connect() as connection:
        await connection.execute(text("SET idle_in_transaction_session_timeout = '100ms'"))
        await connection.commit()
        session = reports.service.sessions(bind=connection)
        found = b""
        async for piece in export.pieces(asked, Search(), session, lambda: export.CsvWriter(None, excel=False)):
            found += piece
            await asyncio.sleep(0.3)
        await connection.invalidate()

    assert found.count(b"\r\n") == 4


async def test_a_request_that_is_given_up_ends_its_export() -> None:
    """Also before there is a piece to give: the place is free at once."""
    exports, closed = export.Exports(), asyncio.Event()

    async def never():
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    for _ in range(export.AT_ONCE + 1):
        starting = asyncio.create_task(exports.start(never()))
        await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.wait_for(closed.wait(), 1)
        closed.clear()
        await asyncio.sleep(0)
