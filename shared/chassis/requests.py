"""What is measured of every request: how long it took, and the span that all it causes belongs to."""

import time

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind

from shared.chassis import telemetry, tracing

_UNMEASURED = ("/health/", "/metrics")


ENDLESS = "endless"
"""In the `opt` of a route whose answer goes on for as long as somebody reads: how long that is says nothing."""


def _is_endless(scope: Scope) -> bool:
    return bool(getattr(scope.get("route_handler"), "opt", {}).get(ENDLESS))


def measured(app: ASGIApp) -> ASGIApp:
    """Litestar middleware. Names a request by its route's pattern: the path itself may hold a token.

    A visitor's own `traceparent` is ignored: whose trace a request belongs to is not for strangers to say.
    """

    async def measure(scope: Scope, receive: Receive, send: Send) -> None:
        route = str(scope.get("path_template", ""))
        if scope["type"] != "http" or route.startswith(_UNMEASURED) or _is_endless(scope):
            await app(scope, receive, send)
            return
        method, status = scope["method"], 500
        begun = time.monotonic()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                span.set_attribute("http.response.status_code", status)
            await send(message)

        with tracing.span(
            f"{method} {route}", SpanKind.SERVER, http__request__method=method, http__route=route
        ) as span:
            try:
                await app(scope, receive, note_status)
            finally:
                telemetry.REQUEST_SECONDS.labels(method, route, str(status)).observe(time.monotonic() - begun)

    return measure
