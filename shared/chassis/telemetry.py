"""JSON logs, and every metric declared once with its meaning."""

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge

EVENTS_TAKEN = Counter(
    "closeloop_events_taken_total",
    "Records taken from Kafka: applied, repeated (dropped by id), parked (awaits another event), dead.",
    ["topic", "outcome"],
)
BATCHES_RETRIED = Counter(
    "closeloop_batches_retried_total",
    "Batches put back because the database or Kafka failed; none of their records is lost.",
    ["topic"],
)
KAFKA_CONNECTED = Gauge("closeloop_kafka_connected", "1 when this service's consumers have started, else 0.")
NOTES_DROPPED = Counter(
    "closeloop_internal_notes_dropped_total", "Replies that were not public, dropped before they were stored."
)


def log_as_json(service: str, level: str) -> None:
    """Write one JSON object a line on standard error; libraries' own logging included."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, event: {"service": service, **event},
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Kafka clients log each retry while a broker is down; we say once ourselves what we wait for.
    for noisy in ("aiokafka", "faststream", "alembic", "uvicorn", "mail"):
        logging.getLogger(noisy).setLevel(max(logging.ERROR, root.level))
