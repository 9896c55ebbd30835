"""Attachments by HTTP: to requesters behind their ticket's link, and to and from help desks that bring a key.

What is given out is always a download that runs nothing, whatever its bytes are.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from litestar import Request, Response, Router, get, put
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath, PathParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.agents_files import Clash, take_agents_file
from services.portal.attachments import Attachments
from services.portal.file_names import content_disposition
from services.portal.file_types import UNKNOWN
from services.portal.storage import Missing
from services.portal.tables import ApiKey, AttachedFile
from services.portal.ticket import Ticket
from shared.chassis.database import is_outage
from shared.chassis.tenancy import session_of
from shared.contracts.event import MAX_ID_LENGTH
from shared.public_pages.api_keys import brought_key, name_of, opens_nothing, row_of
from shared.public_pages.rate_limits import DOWNLOADS, WRONG_KEYS

VERSION = "1.0.0"
REALM = "closeloop portal"

HARMLESS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

log = structlog.get_logger()


@get("/t/{token:str}/attachments/{attachment_id:str}")
async def download_attachment(
    *,
    token: FromPath[str],
    attachment_id: FromPath[str],
    ticket: NamedDependency[Ticket],
    request: Request,
    state: State,
    session: NamedDependency[AsyncSession],
) -> Stream:
    """Give out a file of this ticket's conversation."""
    await state.limiter.take(DOWNLOADS, request, link=token, tenant=ticket.account_id)
    conversation = await session.scalars(queries.attachments_of(ticket))
    told = next((each for told in conversation for each in told if each.attachment_id == attachment_id), None)
    file = await session.get(AttachedFile, (ticket.account_id, attachment_id)) if told else None
    if told is None or file is None:
        raise NotFoundException
    return await _download(file, told.name, state)


async def _download(file: AttachedFile, name: str, state: State) -> Stream:
    if file.object_id is None:
        raise NotFoundException
    return Stream(
        await _bytes_of(file, state),
        media_type=file.media_type or UNKNOWN,
        headers={**HARMLESS, "Content-Disposition": content_disposition(name), "Content-Length": str(file.size)},
    )


async def _bytes_of(file: AttachedFile, state: State) -> AsyncIterator[bytes]:
    attachments: Attachments = state.attachments
    assert file.object_id
    try:
        return await attachments.storage.get(file.object_id)
    except Missing:
        log.error("attachment lost", account_id=file.account_id, object_id=str(file.object_id))  # noqa: TRY400
        raise NotFoundException from None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """What is kept of a file: bytes, and their SHA-256 in hexadecimal digits."""

    attachment_id: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = ""


AccountId = Annotated[str, PathParameter(description="The account's id.", max_length=MAX_ID_LENGTH)]
AttachmentId = Annotated[
    str,
    PathParameter(
        description="The id that events tell of.", max_length=MAX_ID_LENGTH, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
    ),
]


def _problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        Problem, description=description, media_type="application/problem+json", generate_examples=False
    )


_WRONG_KEYS = _problem("Too many keys that open nothing; see Retry-After")


async def account_of_key(account_id: AccountId, request: Request, state: State) -> str:
    """Let in who brings a key for the account.

    Raises NotAuthorizedException (401), NotFoundException (404), and TooMany (429) for who tries one key after another.
    """
    key = brought_key(request, REALM)
    async with state.service.sessions() as session:  # the key is to tell whose rows may be seen
        row = await row_of(key, ApiKey, session)
    if row is None:
        await state.limiter.take(WRONG_KEYS, request, link=name_of(key))
        raise opens_nothing(REALM)
    if row.account_id not in (None, account_id):
        raise NotFoundException("There is no such attachment.")
    return account_id


async def session_of_account(account: NamedDependency[str], state: State) -> AsyncIterator[AsyncSession]:
    """Give a route its session, which sees the account's rows and no others."""
    async with session_of(account, state.sessions) as session:
        yield session


@put(
    "/{attachment_id:str}",
    request_max_body_size=None,  # counted while it is read
    responses={
        200: ResponseSpec(StoredFile, description="These bytes are stored already", generate_examples=False),
        400: _problem("The id has other characters than letters, digits and . _ -, or the file is empty"),
        401: _problem("No key, or one that opens nothing"),
        404: _problem("The key is another account's"),
        429: _WRONG_KEYS,
        409: _problem("Other bytes are stored under this id"),
        413: _problem("The file is too large"),
    },
)
async def put_attachment(
    attachment_id: AttachmentId, account: NamedDependency[str], request: Request, state: State
) -> Response[StoredFile]:
    """Store an agent's file, before or after the event that tells of it. The same bytes again change nothing.

    The body is the file itself. Without an event that tells of it within 30 days it is deleted.
    """
    try:
        first, file = await take_agents_file(request, state, account_id=account, attachment_id=attachment_id)
    except Clash:
        raise HTTPException("Other bytes are stored under this id.", status_code=409) from None
    except RequestEntityTooLarge:
        most = state.attachments.limits.bytes
        raise RequestEntityTooLarge(f"A file may have {most} bytes.") from None
    return Response(_stored(file), status_code=201 if first else 200)


@get(
    "/{attachment_id:str}",
    responses={
        200: ResponseSpec(bytes, description="The file itself", media_type=UNKNOWN, generate_examples=False),
        400: _problem("The id has other characters than letters, digits and . _ -"),
        401: _problem("No key, or one that opens nothing"),
        404: _problem("There is no such file, or the key is another account's"),
        429: _WRONG_KEYS,
    },
)
async def get_attachment(
    attachment_id: AttachmentId,
    account: NamedDependency[str],
    state: State,
    session: NamedDependency[AsyncSession],
) -> Stream:
    """Give out the bytes of a file that an event told of, or that was put here."""
    file = await session.get(AttachedFile, (account, attachment_id))
    if file is None or file.quarantine_id:
        raise NotFoundException("There is no such attachment.")
    return await _download(file, attachment_id, state)


def _stored(file: AttachedFile) -> StoredFile:
    assert file.size is not None
    assert file.digest is not None
    return StoredFile(
        attachment_id=file.attachment_id,
        size=file.size,
        sha256=file.digest.hex(),
        media_type=file.media_type or UNKNOWN,
    )


def explain_to_programs(_: Request, failure: Exception) -> Response:
    """Answer whatever went wrong with problem details (RFC 9457), and give nothing away."""
    status = failure.status_code if isinstance(failure, HTTPException) else 503 if is_outage(failure) else 500
    if status >= 500:
        log.error("request failed", status=status, reason=type(failure).__name__, exc_info=status == 500)
    title = HTTPStatus(status).phrase
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    headers = dict(failure.headers or {}) if isinstance(failure, HTTPException) else {}
    if status == 503:
        headers["Retry-After"] = "30"
    elif isinstance(failure, HTTPException) and status < 500 and failure.detail != title:
        problem["detail"] = failure.detail
    return Response(problem, status_code=status, media_type="application/problem+json", headers=headers)


api = Router(
    "/api/v1/accounts/{account_id:str}/attachments",
    route_handlers=[put_attachment, get_attachment],
    dependencies={"account": Provide(account_of_key), "session": Provide(session_of_account)},
    exception_handlers={Exception: explain_to_programs},
    include_in_schema=True,
    security=[{"apiKey": []}],
)

openapi = OpenAPIConfig(
    title="closeloop portal",
    version=VERSION,
    description="The bytes of attachments, which events tell of. A key opens one account's, or every account's."
    " Errors are problem details (RFC 9457).",
    # The document alone, in a folder of its own: as in reports.
    path="/api/v1/openapi.json",
    render_plugins=[JsonRenderPlugin(path="/")],
    components=Components(security_schemes={"apiKey": SecurityScheme(type="http", scheme="bearer")}),
    use_handler_docstrings=True,
)
