"""JSON logs, and every metric declared once with its meaning."""

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

EVENTS_TAKEN = Counter(
    "closeloop_events_taken_total",
    "Records taken from Kafka: applied, repeated (dropped by id), contradicted (dropped by id though it says something"
    " else: its publisher uses ids twice), parked (awaits another event), dead.",
    ["topic", "outcome"],
)
BATCHES_RETRIED = Counter(
    "closeloop_batches_retried_total",
    "Batches put back because the database or Kafka failed; none of their records is lost.",
    ["topic"],
)
BATCH_SECONDS = Histogram(
    "closeloop_batch_seconds",
    "From a batch's arrival to the commit of its effects; batches that were put back do not count.",
    ["topic"],
)
CONSUMER_STOPPED = Gauge(
    "closeloop_consumer_stopped",
    "1 when a topic's consumer stands still, since too many of its records died within a day. Somebody must look.",
    ["topic"],
)
CONSUMER_LAG = Gauge(
    "closeloop_consumer_lag",
    "Records on a topic that this service, all its replicas together, has not taken.",
    ["topic"],
)
DEAD_LETTERS = Gauge(
    "closeloop_dead_letters", "Records kept that had no effect: dead, or waiting for another event.", ["topic", "state"]
)
OUTBOX_EVENTS = Gauge("closeloop_outbox_events", "Events that are not published yet.")
OUTBOX_AGE = Gauge(
    "closeloop_outbox_oldest_seconds", "How long the oldest event has waited to be published, in seconds."
)
EVENTS_PUBLISHED = Counter("closeloop_events_published_total", "Events the broker has acknowledged.", ["topic"])
REQUEST_SECONDS = Histogram(
    "closeloop_request_seconds",
    "From a request's arrival to the end of its response, by the route's pattern.",
    ["method", "route", "status"],
)
KAFKA_CONNECTED = Gauge("closeloop_kafka_connected", "1 when this service's consumers have started, else 0.")
NOTES_DROPPED = Counter(
    "closeloop_internal_notes_dropped_total", "Replies that were not public, dropped before they were stored."
)


def count_when_committed(counter: Counter, session: AsyncSession, number: int = 1) -> None:
    """Count when the session's transaction commits, and nothing when it does not: it will be tried again."""
    event.listen(session.sync_session, "after_commit", lambda _: counter.inc(number), once=True)


def log_as_json(service: str, level: str) -> None:
    """Write one JSON object a line on standard error; libraries' own logging included."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, entry: {"service": service, **entry},
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
    # A broker that is down is logged by each client many times a second; /health/ready says it, and so do we, once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    for chatty in ("closeloop.kafka", "faststream", "alembic", "uvicorn", "mail"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
