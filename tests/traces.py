"""A collector of spans, as an operator's would be: OTLP over HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span as it arrived."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, str]
    failed: bool


class Collector:
    """Keeps every span; `raw` is all that came, byte for byte."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.raw = b""
        self.address = ""

    def take(self, body: bytes) -> None:
        """Keep what one request brings."""
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            )
            for scope in resource.scope_spans:
                self.spans += [
                    Seen(
                        service,
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes},
                        span.status.code == 2,
                    )
                    for span in scope.spans
                ]

    def path_to(self, last: Seen) -> list[str]:
        """Name the spans from a trace's first one to `last`, each with its service."""
        by_id = {span.id: span for span in self.spans}
        path = [last]
        while path[0].parent in by_id:
            path.insert(0, by_id[path[0].parent])
        return [f"{span.service.removeprefix('closeloop-')}: {span.name}" for span in path]


@contextmanager
def a_collector() -> Iterator[Collector]:
    """Listen on a port of its own until the end."""
    collector = Collector()

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        collector.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collector
        server.shutdown()
