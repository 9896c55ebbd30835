"""The reply form as it comes in: its texts first, then its files, of which no more is held than a chunk.

Files come last in the form, so that captcha, hidden field and rate limits are asked before the first byte of a file.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.exceptions import ClientException, HTTPException, InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from shared.public_pages.forms import fields_of
from shared.public_pages.pages import MAX_BODY_BYTES

FIELD = "files"
MAX_PARTS = 100
"""Fields and files of a form; what has more was sent by no browser of a person's."""


class PostedFile:
    """A file of a form that is being read."""

    def __init__(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        self.name = name
        self.chunks = chunks


class PostedForm:
    """A form whose texts were read and whose files were not."""

    def __init__(self, fields: dict[str, str], events: AsyncIterator[Any] | None = None, first: str = "") -> None:
        self.fields = fields
        self._events = events
        self._first = first

    @property
    def has_files(self) -> bool:
        """Whether there is a file to read."""
        return bool(self._first)

    async def files(self) -> AsyncIterator[PostedFile]:
        """Read one file after the other, once. What is not read of one is skipped.

        Raises ClientException (400), and RequestEntityTooLarge (413) for a form out of all proportion.
        """
        events, name = self._events, self._first
        while events is not None and name:
            chunks = _until_end(events)
            yield PostedFile(name, chunks)
            async for _ in chunks:
                pass
            name = await _next_file(events)


async def read_form(request: Request, *, most_bytes: int) -> PostedForm:
    """Read a form's texts, at most MAX_BODY_BYTES of them. A whole form has at most `most_bytes`.

    Raises ClientException (400) for a field given twice or a file in a text's place, RequestEntityTooLarge (413).
    """
    content_type, options = request.content_type
    if content_type != RequestEncodingType.MULTI_PART:
        request.receive = at_most(MAX_BODY_BYTES, request.receive)
        return PostedForm(await fields_of(request))
    if not (boundary := options.get("boundary")):
        raise ClientException("The form has no boundary.")
    request.receive = at_most(most_bytes, request.receive)
    events = _events(request, boundary)
    fields: dict[str, str] = {}
    held = 0
    async for segment in events:
        if segment.filename and segment.name == FIELD:
            return PostedForm(fields, events, segment.filename)
        if segment.filename:
            raise ClientException("The form holds a file where text was expected.")
        value = bytearray()
        async for chunk in _until_end(events):
            value += chunk
            if held + len(value) > MAX_BODY_BYTES:
                raise RequestEntityTooLarge
        held += len(value)
        if segment.name == FIELD and not value:
            continue  # what browsers send when no file was chosen
        if segment.name in fields:
            raise ClientException("The form holds a field twice.")
        fields[segment.name] = _decoded(value)
    return PostedForm(fields)


def at_most(most_bytes: int, receive: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    """Let a request's body be read up to a size, however long it says it is. Then RequestEntityTooLarge is raised."""
    received = 0

    async def limited() -> Any:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most_bytes:
            raise RequestEntityTooLarge
        return message

    return limited


async def _events(request: Request, boundary: str) -> AsyncIterator[Any]:
    """Parse the body: for each part its head, chunks of its content, and None."""
    try:
        with PushMultipartParser(boundary, max_segment_count=MAX_PARTS) as parser:
            async for chunk in request.stream():
                for event in parser.parse(chunk):
                    yield event
                if parser.closed:
                    return
    except InternalServerException:  # the sender left
        raise ClientException("The form did not arrive in one piece.") from None
    except HTTPException:
        raise
    except (MultipartError, ValueError):
        raise ClientException("The form could not be read.") from None


async def _until_end(events: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for event in events:
        if event is None:
            return
        yield event


async def _next_file(events: AsyncIterator[Any]) -> str:
    """Go to the next file and tell its name; empty when there is none."""
    async for segment in events:
        assert isinstance(segment, MultipartSegment)
        if segment.name != FIELD:
            raise ClientException("The form holds a text behind its files.")
        if segment.filename:
            return segment.filename
        async for _ in _until_end(events):
            pass
    return ""


def _decoded(value: bytearray) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ClientException("The form could not be read.") from None
