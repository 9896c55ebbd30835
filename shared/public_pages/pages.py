"""Pages for strangers: templates, the headers every response carries, and kind pages for everything that goes wrong."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from litestar import Litestar, MediaType, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.static_files import create_static_files_router
from litestar.template.config import TemplateConfig
from litestar.types import Message, PathType, Scope
from markupsafe import Markup

from shared.chassis import health
from shared.chassis.database import is_outage, transaction
from shared.chassis.lifecycle import Service
from shared.chassis.requests import measured
from shared.public_pages.branding import NEUTRAL
from shared.public_pages.labels import priority_label, status_label
from shared.public_pages.language import ENGLISH, Language, teach
from shared.public_pages.linked import linked
from shared.public_pages.rate_limits import TooMany
from shared.public_pages.reader import language_of_page

HERE = Path(__file__).parent
MAX_BODY_BYTES = 512 * 1024

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
_NOT_AT_ALL = (b"cache-control", b"no-store")

log = structlog.get_logger()


def page(
    name: str, language: Language, *, status: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> Template:
    """Answer with a template, in a language."""
    return Template(
        template_name=f"{name}.html",
        context={**context, "language": language},
        status_code=status,
        media_type=MediaType.HTML,
        headers={**_spoken(language), **(headers or {})},
    )


def _spoken(language: Language) -> dict[str, str]:
    return {"Content-Language": language.tag, "Vary": "Accept-Language"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of a form, for the list above it."""

    field: str
    text: str


def too_many(language: Language) -> Problem:
    """Say above a form that it came too often. The header says to programs how long to wait."""
    return Problem(
        "main", language.gettext("That was a lot in a short time. Please wait a minute, then send it again.")
    )


def public_app(
    service: Service,
    routes: Sequence[Any],
    *,
    folder: Path,
    filters: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
    **own: Any,
) -> Litestar:
    """Make the app of a service that shows pages; `folder` holds its templates and static files.

    `filters` are those of its templates, `own` arguments of Litestar's that differ in this service.
    """
    environment = templates(folder)
    environment.filters.update(filters)
    static: list[PathType] = [folder / "static", HERE / "static"]
    settings: dict[str, Any] = {"exception_handlers": {Exception: explain}, "openapi_config": None, **own}
    return Litestar(
        [
            *routes,
            *health.ROUTES,
            create_static_files_router("/static", static, cache_control=None, name="static", include_in_schema=False),
        ],
        dependencies={"session": Provide(transaction)},
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment)),
        state=State({**service.state, "asset": environment.globals["asset"]}),
        lifespan=[service.running],
        before_send=[add_headers],
        middleware=[measured],
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
        **settings,
    )


def templates(folder: Path) -> Environment:
    """Make the template environment: the service's own templates, then the shared ones."""
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder / "templates"), FileSystemLoader(HERE / "templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = _asset_of((folder / "static", HERE / "static"))
    teach(environment)
    environment.filters["at"] = at
    environment.filters["linked"] = linked
    environment.filters["strong"] = strong
    environment.globals["status_label"] = status_label
    environment.globals["priority_label"] = priority_label
    return environment


@pass_context
def at(context: Context, moment: datetime, zone: ZoneInfo) -> Markup:
    """Write a time in the account's zone and the page's language, with the exact one for machines and on hover."""
    language: Language = context.get("language") or ENGLISH
    return Markup('<time dir="auto" datetime="{}" title="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"),
        f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}",
        language.date_time(moment, zone),
    )


def strong(text: str) -> Markup:
    """Make what a person wrote stand out in a sentence of ours."""
    return Markup('<strong dir="auto">{}</strong>').format(text)


def _asset_of(folders: Sequence[Path]):
    @cache
    def asset(name: str) -> str:
        """Address of a static file, with its content's hash: a browser may keep it for as long as it is the same.

        Empty when the file is not there: front-end packages are fetched by set-up, and pages work without them.
        """
        for folder in folders:
            if (folder / name).is_file():
                content = hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12]
                return f"/static/{name}?v={content}"
        return ""

    return asset


async def add_headers(message: Message, scope: Scope) -> None:
    """Put our headers on every response, errors included."""
    if message["type"] != "http.response.start":
        return
    kept = _FOR_EVER if message["status"] == 200 and _is_current_asset(scope) else _NOT_AT_ALL
    headers = list(message["headers"])
    there = {name.lower() for name, _ in headers}
    message["headers"] = headers + [(name, value) for name, value in (*_HEADERS, kept) if name not in there]


def _is_current_asset(scope: Scope) -> bool:
    """Tell whether this is a static file under its content's hash: a page of another release asks for another."""
    path = scope["path"]
    if not path.startswith("/static/"):
        return False
    address = scope["litestar_app"].state.asset(path.removeprefix("/static/"))
    return address == f"{path}?{scope['query_string'].decode('latin-1')}"


def explain(request: Request, failure: Exception) -> Response:
    """Answer whatever went wrong with a kind page that gives nothing away: it knows the browser's language only."""
    status = failure.status_code if isinstance(failure, HTTPException) else 503 if is_outage(failure) else 500
    if status >= 500:
        # The path holds a token; the route's pattern does not.
        log.error("request failed", status=status, reason=type(failure).__name__, exc_info=status == 500)
    return problem_page(request, status, headers=_wait(status, failure))


def problem_page(
    request: Request, status: int, *, template: str = "problem.html", headers: dict[str, str] | None = None
) -> Response:
    """Answer with the kind page of a status; `template` is that page or one that adds to it."""
    language = language_of_page(request)
    title, text = _explanation(status, language)
    engine = request.app.template_engine
    assert engine is not None
    return Response(
        engine.get_template(template).render(
            title=title, text=text, brand=replace(NEUTRAL, name=language.gettext("Support")), language=language
        ),
        status_code=status,
        media_type=MediaType.HTML,
        headers={**_spoken(language), **(headers or {})},
    )


def _wait(status: int, failure: Exception) -> dict[str, str]:
    if status == 503:
        return {"Retry-After": "30"}
    return failure.headers or {} if isinstance(failure, TooMany) else {}


def _explanation(status: int, language: Language) -> tuple[str, str]:
    gettext = language.gettext
    explanations = {
        400: (gettext("That did not arrive in one piece"), gettext("Please go back and try again.")),
        404: (
            gettext("This link does not open anything"),
            gettext(
                "It may be mistyped, cut off by a mail program, or too old."
                " The newest email we sent you has a link that works."
            ),
        ),
        405: (gettext("That is not possible here"), gettext("Please go back and try again.")),
        413: (gettext("That is too much at once"), gettext("Please go back and shorten your text.")),
        429: (
            gettext("That was a lot in a short time"),
            gettext("Nothing is lost. Please wait a minute, then try again."),
        ),
        500: (
            gettext("Something went wrong on our side"),
            gettext("Please try again. If it happens again, answer the email you got from us."),
        ),
        503: (
            gettext("We will be right back"),
            gettext("A part of our system is not answering. Nothing is lost; please try again in a minute."),
        ),
    }
    return explanations.get(status) or explanations[400 if status < 500 else 500]
