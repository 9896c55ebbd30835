"""The only place that reads the clock; everything else is told what time it is."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Read the clock. Called by composition roots only."""
    return datetime.now(UTC)
