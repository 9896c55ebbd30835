"""What the OpenAPI document says beyond the routes: of problems, of successes by an example, of the ways in."""

from typing import Annotated

from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Example, SecurityScheme
from msgspec import Meta, Struct

VERSION = "1.0.0"


class Wrong(Struct, frozen=True):
    """What is wrong with a parameter."""

    parameter: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """Problem details. Source: RFC 9457."""

    type: Annotated[str, Meta(description="A URI that names the kind of problem; about:blank: see `status`.")]
    title: str
    status: int
    detail: str = ""
    errors: list[Wrong] = []


def problem(description: str) -> ResponseSpec:
    """Describe a refusal."""
    return ResponseSpec(
        Problem, description=description, media_type="application/problem+json", generate_examples=False
    )


NOT_MODIFIED = ResponseSpec(None, description="The client has it already: `If-None-Match` names its `ETag`")

PROBLEMS: dict[int, ResponseSpec] = {
    400: problem("A parameter is wrong"),
    401: problem("No key, or one that opens nothing"),
    403: problem("The key does not open this, or not this agent's"),
    429: problem("Too many requests with this key, too many keys that open nothing, or exports; see Retry-After"),
    503: problem("The database, or the keys to check tokens with, cannot be reached; see Retry-After"),
}


def answers(example: Struct) -> dict[int, ResponseSpec]:
    """Describe the answers of an operation, the success by an example."""
    success = ResponseSpec(
        type(example),
        description="As asked for",
        examples=[Example(value=example)],
        generate_examples=False,
    )
    return {200: success, **PROBLEMS}


def figures(example: Struct) -> dict[int, ResponseSpec]:
    """Describe the answers of an operation whose success has a validator."""
    return {**answers(example), 304: NOT_MODIFIED}


openapi = OpenAPIConfig(
    title="closeloop reports",
    version=VERSION,
    description="How satisfied an account's requesters are. A key shows its own account, and may be limited to figures,"
    " to responses, or to one agent. Errors are problem details (RFC 9457). Unknown parameters are refused.",
    # The document alone: every page that Litestar could render it with is loaded from somebody else's server. It has a
    # folder of its own, for Litestar answers whatever else is asked for in that folder, with a page of its own.
    path="/api/v1/openapi.json",
    render_plugins=[JsonRenderPlugin(path="/")],
    components=Components(
        security_schemes={
            "apiKey": SecurityScheme(type="http", scheme="bearer", description="A key that an operator made."),
            "token": SecurityScheme(
                type="http",
                scheme="bearer",
                bearer_format="JWT",
                description="A token of the identity provider that the operator named. Claims: `exp`, `iss`, `aud`,"
                " `sub`, `account`, `scope` (`figures`, `responses` or both) and, to show one agent alone, `agent`.",
            ),
        }
    ),
    use_handler_docstrings=True,
)
