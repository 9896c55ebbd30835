"""What a caller gets when something went wrong: RFC 9457 problem details from the API, a page from the dashboard."""

from http import HTTPStatus
from typing import Any

import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException

from shared.chassis.database import is_outage
from shared.public_pages.branding import NEUTRAL

log = structlog.get_logger()

INVALID_PARAMETERS = "urn:closeloop:problem:invalid-parameters"

PAGES = {
    403: ("That did not come from this page", "Please go back and try again from here."),
    404: ("There is nothing here", "The address may be mistyped. The reports are one step away."),
    429: ("That was a lot in a short time", "Nothing is lost. Please wait a minute, then try again."),
    503: (
        "The reports will be right back",
        "The database does not answer. Please try again in a minute.",
    ),
    500: ("Something went wrong on our side", "Please try again. If it happens again, tell whoever runs closeloop."),
}
_OTHER_PAGE = ("That did not work", "Please go back and try again.")


def wrong_parameter(name: str, message: str) -> ValidationException:
    """Make the refusal of one query parameter."""
    return ValidationException(extra=[{"key": name, "message": message, "source": "query"}])


def explain(request: Request, failure: Exception) -> Response:
    """Answer whatever went wrong, in the form that suits who asked, and give nothing away."""
    status = failure.status_code if isinstance(failure, HTTPException) else 503 if is_outage(failure) else 500
    if status >= 500:
        log.error("request failed", status=status, reason=type(failure).__name__, exc_info=status == 500)
    headers = dict(failure.headers or {}) if isinstance(failure, HTTPException) else {}
    if status == 503:
        headers["Retry-After"] = "30"
    if request.url.path.startswith("/api/"):
        return _problem(failure, status, headers)
    return _page(request, status, headers)


def _problem(failure: Exception, status: int, headers: dict[str, str]) -> Response:
    title = HTTPStatus(status).phrase
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if isinstance(failure, ValidationException):
        errors = [_error(item) for item in failure.extra or [] if isinstance(item, dict)]
        problem |= {
            "type": INVALID_PARAMETERS,
            "title": "Invalid parameters",
            "detail": "; ".join(f"{error['parameter']}: {error['message']}" for error in errors) or failure.detail,
            "errors": errors,
        }
    elif status == 503 and not isinstance(failure, HTTPException):
        problem["detail"] = "The database does not answer. Try again in a while."
    elif isinstance(failure, HTTPException) and status != 500 and failure.detail != title:
        problem["detail"] = failure.detail
    return Response(problem, status_code=status, media_type="application/problem+json", headers=headers)


def _error(item: dict[str, Any]) -> dict[str, str]:
    # Litestar names our argument: `from_` is what Python makes of the parameter `from`.
    return {"parameter": str(item.get("key", "")).rstrip("_"), "message": str(item.get("message", ""))}


def _page(request: Request, status: int, headers: dict[str, str]) -> Response:
    title, text = PAGES.get(status) or (_OTHER_PAGE if status < 500 else PAGES[500])
    engine = request.app.template_engine
    assert engine is not None
    page = engine.get_template("problem.html").render(title=title, text=text, brand=NEUTRAL, status=status)
    return Response(page, status_code=status, media_type=MediaType.HTML, headers=headers)
