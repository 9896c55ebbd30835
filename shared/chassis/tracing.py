"""Traces that follow a person's POST through outbox, Kafka and every service to the mail server's answer.

OpenTelemetry's variables turn them on: with OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) spans go there over
OTLP/HTTP, else nothing is recorded. Between processes a trace travels as `traceparent`, in an outbox row and in a
record's header. Source: W3C Trace Context, level 1.

Spans name routes by their pattern, topics and outcomes; never a token, a person's address or what somebody wrote, which
is why exceptions leave their type here and not their text.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

HEADER = "traceparent"
FLUSH_SECONDS = 2.0

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("closeloop")


def configure(service: str) -> None:
    """Send spans where OpenTelemetry's variables say; do nothing where they say nothing. Once in a process."""
    if not any(os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT") for signal in ("", "TRACES_")):
        return
    # Loaded only where somebody wants traces: they take a third of a second.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"closeloop-{service}"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def flush() -> None:
    """Send what is left before the process ends, for at most FLUSH_SECONDS: a collector that hangs holds up no stop."""
    if force_flush := getattr(trace.get_tracer_provider(), "force_flush", None):
        flushing = threading.Thread(target=force_flush, daemon=True)
        flushing.start()
        flushing.join(FLUSH_SECONDS)


def traceparent() -> str | None:
    """What to hand on, so that what follows belongs to the present trace; None outside of one."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(HEADER)


@contextmanager
def span(
    name: str, kind: SpanKind, *, parent: str | None = None, since: datetime | None = None, **attributes: str
) -> Iterator[Span]:
    """Do something under a span: below `parent`, a traceparent that may be malformed, else below the present span.

    `since` is when it began, if that was earlier. An attribute `messaging__system` is OpenTelemetry's messaging.system.
    """
    with _tracer.start_as_current_span(
        name,
        context=_propagator.extract({HEADER: parent}) if parent else None,
        kind=kind,
        attributes={name.replace("__", "."): value for name, value in attributes.items()},
        start_time=int(since.timestamp() * 1e9) if since else None,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as failure:
            failed(current, failure)
            raise


@contextmanager
def spans(name: str, kind: SpanKind, *, parents: Iterable[str], **attributes: str) -> Iterator[None]:
    """Do one thing that belongs to many traces: a span below each of `parents`, none of them the present one."""
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    begun = [
        _tracer.start_span(name, context=_propagator.extract({HEADER: parent}), kind=kind, attributes=named)
        for parent in parents
    ]
    try:
        yield
    except BaseException as failure:
        for each in begun:
            failed(each, failure)
        raise
    finally:
        for each in begun:
            each.end()


def failed(current: Span, failure: BaseException) -> None:
    """Mark a span as failed by the type of its failure."""
    current.set_attribute("error.type", type(failure).__name__)
    current.set_status(StatusCode.ERROR)
