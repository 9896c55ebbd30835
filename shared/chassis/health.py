"""/health/live says the process runs; /health/ready says whether it can serve; /metrics speaks Prometheus' format."""

from typing import Any

import structlog
from litestar import MediaType, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.chassis.outbox import oldest_age_seconds

LATE_SECONDS = 60.0

log = structlog.get_logger()


@get("/health/live", sync_to_thread=False)
def live() -> dict[str, str]:
    """Answer as long as the process can."""
    return {"status": "ok"}


@get("/health/ready")
async def ready(state: State) -> Response[dict[str, Any]]:
    """200 when pages can be served, 503 when not.

    `degraded`: pages are served, but Kafka does not answer or an event has waited LATE_SECONDS to be published.
    """
    waiting = await _oldest_event(state)
    kafka = "up" if await state.service.kafka_answers() else "down"
    late = waiting is not None and waiting > LATE_SECONDS
    status = "unavailable" if waiting is None else "degraded" if late or kafka == "down" else "ok"
    return Response(
        {
            "status": status,
            "database": "down" if waiting is None else "up",
            "kafka": kafka,
            "oldest_unpublished_event_seconds": round(waiting or 0.0, 1),
        },
        status_code=503 if waiting is None else 200,
    )


@get("/metrics", media_type=MediaType.TEXT, sync_to_thread=False)
def metrics() -> Response[bytes]:
    """Every metric of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _oldest_event(state: State) -> float | None:
    """Seconds the oldest event has waited; None when the database does not answer."""
    try:
        async with state.sessions() as session:
            return await oldest_age_seconds(session)
    except Exception as failure:  # noqa: BLE001 - whatever it is, pages cannot be served
        log.warning("database does not answer", reason=f"{type(failure).__name__}: {failure}")
        return None


ROUTES = (live, ready, metrics)
