"""Routes of the API that give what requesters wrote: a page of responses, or all of them in a file."""

from collections.abc import Callable
from typing import Annotated

from litestar import get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from litestar.response import Stream

from services.reports import examples, export, queries, specification
from services.reports.answers import Covered, Response, Responses
from services.reports.asked import Asked, Search
from services.reports.parameters import RESPONSES
from services.reports.problems import wrong_parameter
from shared.contracts.event import MAX_ID_LENGTH


@get("/responses", opt=RESPONSES, responses=specification.answers(examples.RESPONSES))
async def list_responses(
    *,
    asked: NamedDependency[Asked],
    search: NamedDependency[Search],
    state: State,
    cursor: Annotated[
        str | None,
        QueryParameter(
            description="`next` of the page before. Keep the days and filters as they were.",
            max_length=MAX_ID_LENGTH,
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100, description="Responses on a page.")] = 25,
) -> Responses:
    """Each response with its comment, newest first."""
    after = None
    if cursor is not None:
        after = await queries.response(asked, state.pool, cursor) if cursor.isprintable() else None
        if after is None:
            raise wrong_parameter("cursor", "belongs to no page of ours")
    found = await queries.responses(asked, state.pool, limit + 1, after=after, search=search)
    page = found[:limit]
    return Responses(
        Covered.by(asked),
        [Response.of(rating, state.service.settings.ticket_url) for rating in page],
        page[-1].survey_id if len(found) > limit else None,
    )


def _file(kind: export.Kind, content: str) -> dict[int, ResponseSpec]:
    success = ResponseSpec(
        str, description="A file", media_type=export.MEDIA_TYPES[kind], examples=[Example(value=content)]
    )
    return {200: success, **specification.PROBLEMS}


async def exported(
    kind: export.Kind, asked: Asked, search: Search, state: State, begin: Callable[[], export.Writer]
) -> Stream:
    """Answer with a file of the responses that fit. Raises TooManyRequestsException (429)."""
    pieces = await state.exports.start(export.pieces(asked, search, state.sessions(), begin))
    headers = {
        "Content-Disposition": f'attachment; filename="{export.name_of_file(asked, kind)}"',
    }
    return Stream(pieces, media_type=export.MEDIA_TYPES[kind], headers=headers)


@get("/responses.csv", opt=RESPONSES, media_type="text/csv", responses=_file("csv", examples.CSV))
async def export_csv(
    asked: NamedDependency[Asked],
    search: NamedDependency[Search],
    state: State,
    excel: Annotated[
        bool, QueryParameter(description="Begin with a byte order mark, without which Excel reads no UTF-8.")
    ] = False,
) -> Stream:
    """All responses that fit, newest first, as CSV (RFC 4180, UTF-8).

    An apostrophe is put before a text that a spreadsheet would take for a formula.
    """
    tickets_at = state.service.settings.ticket_url
    return await exported("csv", asked, search, state, lambda: export.CsvWriter(tickets_at, excel=excel))


@get(
    "/responses.parquet",
    opt=RESPONSES,
    media_type=export.MEDIA_TYPES["parquet"],
    responses=_file("parquet", "PAR1…"),
)
async def export_parquet(asked: NamedDependency[Asked], search: NamedDependency[Search], state: State) -> Stream:
    """All responses that fit, newest first, as Apache Parquet with typed columns; texts are as they were written."""
    tickets_at = state.service.settings.ticket_url
    return await exported("parquet", asked, search, state, lambda: export.ParquetWriter(tickets_at))
