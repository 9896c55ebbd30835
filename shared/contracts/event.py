"""What every event has: a topic, the tenant it belongs to, and the key that keeps its like in order."""

from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar

MAX_ID_LENGTH = 128
"""Characters. Ids are opaque strings of the publisher's; they are compared, never taken apart."""

FIRST_YEAR, LAST_YEAR = 1971, 9998


def check_facts(facts: Any) -> None:
    """Refuse what a type cannot say: an id that is empty, too long or unprintable, a time nobody can mean.

    That is one without a zone, or in a year that no calendar of ours reaches: a forgotten time is the year 1 in many
    languages.

    Called by each contract's `__post_init__`. Raises ValueError.
    """
    ids, times = _to_check(type(facts))
    for name in ids:
        value = getattr(facts, name)
        if value is not None and not (0 < len(value) <= MAX_ID_LENGTH and value.isprintable()):
            is_long_enough = 0 < len(value) <= MAX_ID_LENGTH
            wrong = "has unprintable characters" if is_long_enough else f"must have 1 to {MAX_ID_LENGTH} characters"
            raise ValueError(f"{name} {wrong}")
    for name in times:
        value = getattr(facts, name)
        if value is None:
            continue
        if value.tzinfo is None:
            raise ValueError(f"{name} has no UTC offset")
        if not FIRST_YEAR <= value.year <= LAST_YEAR:
            raise ValueError(f"{name} is not between the years {FIRST_YEAR} and {LAST_YEAR}")


@cache
def _to_check(contract: type) -> tuple[list[str], list[str]]:
    """List a contract's ids and times, once: looking for them takes as long as reading the event."""
    names = [field.name for field in fields(contract)]
    return [name for name in names if name.endswith("_id")], [name for name in names if name.endswith("_at")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in one account. The payload holds facts only; id and time are in the headers."""

    topic: ClassVar[str]
    confidential: ClassVar[bool] = False
    """A record of the topic may hold what must not be stored, so one that cannot be read is kept without its value."""

    account_id: str

    def __post_init__(self) -> None:
        check_facts(self)

    @property
    def key(self) -> str:
        """Kafka's record key: events with the same key on one topic stay in order."""
        return self.account_id
