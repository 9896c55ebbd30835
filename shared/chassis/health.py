"""/health/live says the process runs; /health/ready says whether it can serve; /metrics speaks Prometheus' format."""

from typing import Any

from litestar import MediaType, Response, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text


@get("/health/live", sync_to_thread=False)
def live() -> dict[str, str]:
    """Answer as long as the process can."""
    return {"status": "ok"}


@get("/health/ready")
async def ready(state: State) -> Response[dict[str, Any]]:
    """200 when pages can be served, 503 when not. Without Kafka they can: the state is then `degraded`."""
    database = await _database(state)
    kafka = "up" if await state.service.kafka_answers() else "down"
    status = "unavailable" if database == "down" else "ok" if kafka == "up" else "degraded"
    return Response(
        {"status": status, "database": database, "kafka": kafka},
        status_code=503 if status == "unavailable" else 200,
    )


@get("/metrics", media_type=MediaType.TEXT, sync_to_thread=False)
def metrics() -> Response[bytes]:
    """Every metric of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database(state: State) -> str:
    try:
        async with state.sessions() as session:
            await session.execute(text("SELECT 1"))
    except Exception:  # noqa: BLE001 - whatever it is, the answer is the same
        return "down"
    return "up"


ROUTES = (live, ready, metrics)
