"""What the help desk tells about an account, the tenant."""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.contracts.event import Event, check_facts

MAX_LOGO_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Logo:
    """A small picture, carried whole: no page or email of ours loads anything from elsewhere.

    No SVG: it can carry scripts.
    """

    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"]
    data: bytes  # base64 in JSON

    def __post_init__(self) -> None:
        if not 0 < len(self.data) <= MAX_LOGO_BYTES:
            raise ValueError(f"a logo must have 1 to {MAX_LOGO_BYTES} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyPolicy:
    """Whether an account's requesters are asked, and for how many days they can answer."""

    enabled: bool = True
    expires_after_days: int = 14

    def __post_init__(self) -> None:
        if not 1 <= self.expires_after_days <= 365:
            raise ValueError("expires_after_days must be 1 to 365")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdated(Event):
    """An account was made or changed. The highest version wins, whatever the order of arrival."""

    topic: ClassVar[str] = "account.updated"

    version: int
    name: str
    colour: str = "#3451b2"
    logo: Logo | None = None
    time_zone: str = "UTC"
    locale: str | None = None  # BCP 47; what its requesters are written in when nothing more is known of them
    survey_policy: SurveyPolicy = field(default_factory=SurveyPolicy)

    def __post_init__(self) -> None:
        check_facts(self)
        if not self.name.strip():
            raise ValueError("name is empty")
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise ValueError("colour must look like #1a2b3c")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("time_zone is not in the IANA time zone database") from None
