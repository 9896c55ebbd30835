"""Whether an answer is still the one a client has: it asks every time, and is told in a few bytes that it is.

Source: RFC 9110, sections 8.8.3 (ETag), 13.1.2 (If-None-Match) and 15.4.5 (304); RFC 9111, section 5.2.2.
"""

import hashlib
from typing import Any

from litestar import Request, Response
from litestar.response.base import ASGIResponse


class Validated(Response[Any]):
    """An answer with a validator made from its bytes; 304 without them for who has it."""

    def to_asgi_response(self, app: Any, request: Request, **rest: Any) -> ASGIResponse:
        """Compare it with what the client has."""
        answer = super().to_asgi_response(app, request, **rest)
        tag = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
        # What is in it depends on the key: it is for whoever asked with that one.
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if {tag, "*"} & _tags(request.headers.get("If-None-Match", "")):
            return ASGIResponse(status_code=304, headers=headers)
        for name, value in headers.items():
            answer.headers.add(name, value)  # `update` looks for each in those that are there
        return answer


def _tags(header: str) -> set[str]:
    """Read the tags a client has, weak or strong: for a GET they are compared alike."""
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
