"""CloudEvents 1.0 in Kafka's binary mode: metadata in the record's headers, facts in its value.

Source: CloudEvents specification 1.0.2, Kafka protocol binding 1.0.2, section 3.2.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from shared.contracts.event import MAX_ID_LENGTH, Event

E = TypeVar("E", bound=Event)

Headers = Sequence[tuple[str, bytes | None]]


_NEEDED = ("ce_specversion", "ce_id", "ce_source", "ce_type")
_QUOTED_CHOICE = re.compile(r"^(Invalid enum value) .*?( - at `[^`]*`)?$", re.DOTALL)


class Record(Protocol):
    """What we need of a Kafka record; aiokafka's has it, and so has a dead letter."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - Kafka's own terms
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class Unreadable(Exception):
    """A record that is no event of its topic. Says what is wrong, never what the payload holds."""


@dataclass(frozen=True, slots=True)
class Envelope(Generic[E]):
    """An event with what its headers say. Source and id together name it, as CloudEvents has it.

    `digest` is of the value as it came: a repeat has the same one.
    """

    source: str
    id: str
    event: E
    digest: bytes
    traceparent: str | None

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from every other event of its topic."""
        return self.source, self.id


def headers_of(
    *, event_id: str, event_type: str, source: str, subject: str, time: datetime, traceparent: str | None = None
) -> list[tuple[str, bytes]]:
    """Write the headers of an event of ours."""
    return [
        (name, value.encode())
        for name, value in (
            ("ce_specversion", "1.0"),
            ("ce_id", event_id),
            ("ce_source", source),
            ("ce_type", event_type),
            ("ce_subject", subject),
            ("ce_time", time.isoformat()),
            ("content-type", "application/json"),
            ("traceparent", traceparent),
        )
        if value
    ]


def read(record: Record, expected: type[E]) -> Envelope[E]:
    """Read a record as an event of its topic. Raises Unreadable and nothing else, whatever the bytes."""
    given = dict(record.headers)
    for name in _NEEDED:
        if name not in given:
            raise Unreadable(f"header {name} is missing")
    if _repeated_text("ce_specversion", given["ce_specversion"]) != "1.0":
        raise Unreadable("header ce_specversion is not 1.0")
    if _repeated_text("ce_type", given["ce_type"]) != expected.topic:
        raise Unreadable(f"header ce_type is not {expected.topic}")
    source, event_id = _repeated_text("ce_source", given["ce_source"]), _text("ce_id", given["ce_id"])
    if record.value is None:
        raise Unreadable("the record has no value")
    try:
        event = _decode(record.value, expected)
    except msgspec.ValidationError as invalid:
        # Names the field and the expected type; of a choice it quotes the value, which is nobody's business.
        raise Unreadable(_QUOTED_CHOICE.sub(r"\1\2", str(invalid))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as invalid:
        raise Unreadable(f"the value is not JSON: {invalid}") from None
    digest = hashlib.sha256(record.value).digest()
    return Envelope(source, event_id, event, digest, _traceparent(given.get("traceparent")))


@cache
def _decoder(expected: type[E]) -> msgspec.json.Decoder[E]:
    return msgspec.json.Decoder(expected)


def _decode(value: bytes, expected: type[E]) -> E:
    """Decode JSON without its NULs: text from mail programs may hold them, and no PostgreSQL text can."""
    if b"\\u0000" not in value:
        return _decoder(expected).decode(value)
    return msgspec.convert(_without_nul(msgspec.json.decode(value)), expected)


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_nul(item) for name, item in value.items()}
    return value


def _traceparent(value: bytes | None) -> str | None:
    """Name the trace a record belongs to. Whatever the header holds, it makes no record unreadable."""
    return value.decode("ascii", "replace") if value else None


def _text(name: str, value: bytes | None) -> str:
    if value is None:
        raise Unreadable(f"header {name} has no value")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Unreadable(f"header {name} is not UTF-8") from None
    if not 0 < len(text) <= MAX_ID_LENGTH or not text.isprintable():
        raise Unreadable(f"header {name} must have 1 to {MAX_ID_LENGTH} printable characters")
    return text


# A topic has few sources and one type.
_repeated_text = lru_cache(maxsize=128)(_text)
