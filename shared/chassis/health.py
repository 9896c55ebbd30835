"""/health/live says the process runs; /health/ready says whether it can serve; /metrics speaks Prometheus' format."""

from typing import Any

import structlog
from litestar import MediaType, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

log = structlog.get_logger()


@get("/health/live", sync_to_thread=False)
def live() -> dict[str, str]:
    """Answer as long as the process can."""
    return {"status": "ok"}


@get("/health/ready")
async def ready(state: State) -> Response[dict[str, Any]]:
    """200 when pages can be served, 503 when not.

    `degraded`: pages are served, but Kafka does not answer, or there are `troubles`, each a sentence for an operator.
    `behind`: records of Kafka's that were not taken yet, as seen within the last seconds; null when nobody knows.
    """
    kafka = "up" if await state.service.kafka_answers() else "down"
    troubles = await _troubles(state)
    if troubles is None:
        return Response({"status": "unavailable", "database": "down", "kafka": kafka}, status_code=503)
    return Response(
        {
            "status": "degraded" if troubles or kafka == "down" else "ok",
            "database": "up",
            "kafka": kafka,
            "behind": state.service.behind,
            "troubles": troubles,
        }
    )


@get("/metrics", media_type=MediaType.TEXT, sync_to_thread=False)
def metrics() -> Response[bytes]:
    """Every metric of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _troubles(state: State) -> list[str] | None:
    """Tell what is wrong; None when the database does not answer, or lacks what a migration would have made."""
    try:
        async with state.service.sessions() as session:
            return await state.service.troubles(session)
    except Exception as failure:  # noqa: BLE001 - whatever it is, pages cannot be served
        log.warning("database does not answer", reason=f"{type(failure).__name__}: {failure}")
        return None


ROUTES = (live, ready, metrics)
