"""Settings from the environment. A service with wrong settings does not start, and says what is wrong in one line."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared.chassis.cluster import ClusterSettings
from shared.chassis.database import async_driver


def _without_slash(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return url.rstrip("/")


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < 32:
        raise ValueError("must have 32 characters or more")
    return key


DatabaseUrl = Annotated[str, AfterValidator(async_driver)]
PublicUrl = Annotated[str, AfterValidator(_without_slash)]
SecretKey = Annotated[SecretStr, AfterValidator(_long_enough)]
Days = Annotated[int, Field(ge=1, le=36_500)]


class Settings(ClusterSettings):
    """What every service needs to know. Variables have the field's name in capitals, `DATABASE_URL` and so on."""

    database_url: DatabaseUrl
    host: str = "127.0.0.1"
    port: int = 8000
    log_level: str = "INFO"
    kafka_session_timeout_ms: int = 30_000
    database_pool_size: Annotated[int, Field(ge=1)] = 10
    """Connections for pages, and as many again for those of reports that are asked all the time (see prepared.py).

    Consumers, the relay and other background work have theirs besides, one each.
    """
    statement_seconds: Annotated[float, Field(gt=0)] | None = 30.0
    """How long a statement may take; commands, for whose end somebody waits, know no such limit."""
    hangs_after_seconds: Annotated[float, Field(ge=1)] = 60.0
    """A consumer with records to take, or an event loop, that stands still for so long ends the process."""

    dead_letter_limit: Annotated[int, Field(ge=1)] = 100
    """Records of one topic that may die within 24 hours before its consumer stands still."""

    dead_letter_days: Days = 90
    """How long a record that had no effect is kept."""
