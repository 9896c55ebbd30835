"""A trace goes on where its event goes, and says nothing that is nobody's business."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared.chassis import tracing
from shared.chassis.outbox import OutboxMessage
from tests.builders import a_ticket, a_ticket_created, a_ticket_updated
from tests.chassis.counting import failing
from tests.stage import Stage, delivery_of

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

_exporter = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def provider() -> Iterator[None]:
    """Record spans in this process: a tracer is given its provider when it is first used."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_exporter))
    before = tracing._tracer
    tracing._tracer = provider.get_tracer("tests")
    yield
    tracing._tracer = before


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """No spans yet."""
    _exporter.clear()
    return _exporter


async def test_what_an_event_causes_belongs_to_its_trace(counting: Stage, spans: InMemorySpanExporter) -> None:
    """From the record's header through the handler into the outbox."""
    delivery = delivery_of(a_ticket_updated())
    delivery.headers = [*delivery.headers, ("traceparent", PARENT.encode())]

    await counting.hears(delivery)

    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("process ticket.updated", SpanKind.CONSUMER)
    assert f"{span.context.trace_id:032x}" == PARENT.split("-")[1]
    assert f"{span.parent.span_id:016x}" == PARENT.split("-")[2]
    told = await counting.row(OutboxMessage)
    assert told.traceparent == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("header", [b"", b"\xff\xfe", b"00-0-0-0", b"a" * 5000, None])
async def test_a_malformed_trace_makes_no_record_unreadable(
    counting: Stage, spans: InMemorySpanExporter, header: bytes | None
) -> None:
    """It begins a trace of its own."""
    delivery = delivery_of(a_ticket_updated())
    delivery.headers = [*delivery.headers, ("traceparent", header)]

    await counting.hears(delivery)

    (span,) = spans.get_finished_spans()
    assert span.parent is None
    assert await counting.dead_letters() == []


async def test_what_is_handled_together_has_a_span_in_each_of_its_traces(
    counting: Stage, spans: InMemorySpanExporter
) -> None:
    """Those that belong to none, or to one that is malformed, hold up nothing."""
    other = PARENT.replace("-4bf9", "-5bf9")
    failing["bad"] = [ValueError("my secret is 42")]
    deliveries = [
        delivery_of(a_ticket_created(ticket=a_ticket(ticket_id=subject, subject=subject)))
        for subject in ("a", "bad", "none")
    ]
    for delivery, header in zip(deliveries, (PARENT, other), strict=False):
        delivery.headers = [*delivery.headers, ("traceparent", header.encode())]

    await counting.hears(*deliveries)

    told = spans.get_finished_spans()
    assert {span.name for span in told} == {"process ticket.created"}
    well = {f"{span.context.trace_id:032x}" for span in told if span.status.status_code is not StatusCode.ERROR}
    assert {PARENT.split("-")[1], other.split("-")[1]} <= well
    ill = [dict(span.attributes) for span in told if span.status.status_code is StatusCode.ERROR]
    assert ill
    assert all(attributes["error.type"] == "ValueError" for attributes in ill)
    assert "secret" not in repr(ill)


async def test_a_failure_leaves_its_type_and_not_its_text(counting: Stage, spans: InMemorySpanExporter) -> None:
    """Errors quote what people wrote."""
    failing["a"] = [ValueError("my secret is 42")]

    await counting.hears(delivery_of(a_ticket_updated(ticket=a_ticket(subject="a"))))

    first, second = spans.get_finished_spans()
    assert dict(first.attributes)["error.type"] == "ValueError"
    assert not first.status.is_ok
    assert second.status.is_ok or second.status.is_unset
    assert "secret" not in first.to_json() + second.to_json()


def test_without_a_collector_nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's own variables turn it on, nothing else does."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    before = trace.get_tracer_provider()

    tracing.configure("counting")

    assert trace.get_tracer_provider() is before
    assert tracing.traceparent() is None
