"""What the help desk tells about an account, the tenant."""

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.contracts.event import Event, check_facts
from shared.contracts.ticket import Agent

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


MAX_WORDING_LENGTH = 300
"""Characters of a heading, a question, a word of thanks or a reason."""

MOST_REASONS = 8


def _check_wording(name: str, text: str) -> None:
    if not 0 < len(text.strip()) <= len(text) <= MAX_WORDING_LENGTH or "\0" in text:
        raise ValueError(f"{name} must have 1 to {MAX_WORDING_LENGTH} characters, none of them NUL")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyWording:
    """What a survey says in one language, as plain text; what is not given is said in our words.

    `heading` stands above the page and the email, `question` below it, `thanks` on the page after a rating.
    """

    heading: str | None = None
    question: str | None = None
    thanks: str | None = None

    def __post_init__(self) -> None:
        for name in ("heading", "question", "thanks"):
            text = getattr(self, name)
            if text is not None:
                _check_wording(name, text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReason:
    """Something that may have been wrong, to be picked with a score of 1 or 2.

    `code` is what reports count by. `text` is what the requester reads, by language (BCP 47, such as `de`); where
    theirs is not among them, the first.
    """

    code: str
    text: dict[str, str]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_-]{1,40}", self.code):
            raise ValueError("a reason's code must have 1 to 40 of a-z, 0-9, _ and -")
        if not self.text:
            raise ValueError("a reason has no text")
        for text in self.text.values():
            _check_wording("a reason", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyPolicy:
    """Whom an account asks how they were helped, when, and in which words.

    A requester is asked `delay_hours` after the resolution and can then answer for `expires_after_days`; nobody is
    asked twice within `days_between` (0: however often). Of all resolutions `sample_percent` are asked about, always
    the same ones. `only_after_reply`: not about tickets that no agent has answered publicly. `reminder_after_days`:
    who has not answered by then is asked once more (None: nobody is).

    `reasons` are those to pick from with a score of 1 or 2; None: ours, empty: none. `wording` is by language (BCP 47).
    """

    enabled: bool = True
    expires_after_days: int = 14
    delay_hours: int = 0
    days_between: int = 0
    sample_percent: int = 100
    only_after_reply: bool = False
    reminder_after_days: int | None = None
    reasons: tuple[SurveyReason, ...] | None = None
    wording: dict[str, SurveyWording] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.expires_after_days <= 365:
            raise ValueError("expires_after_days must be 1 to 365")
        if not 0 <= self.delay_hours <= 24 * 30:
            raise ValueError("delay_hours must be 0 to 720")
        if not 0 <= self.days_between <= 365:
            raise ValueError("days_between must be 0 to 365")
        if not 0 <= self.sample_percent <= 100:
            raise ValueError("sample_percent must be 0 to 100")
        if self.reminder_after_days is not None and not 1 <= self.reminder_after_days < self.expires_after_days:
            raise ValueError("reminder_after_days must be 1 or more, and less than expires_after_days")
        if self.reasons is not None:
            codes = [reason.code for reason in self.reasons]
            if len(codes) > MOST_REASONS or len(codes) != len(set(codes)):
                raise ValueError(f"there may be {MOST_REASONS} reasons at most, each with a code of its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountUpdated(Event):
    """An account was made or changed. The highest version wins, whatever the order of arrival.

    `lead` is told of low ratings besides the ticket's agent.
    """

    topic: ClassVar[str] = "account.updated"

    version: int
    name: str
    colour: str = "#3451b2"
    logo: Logo | None = None
    time_zone: str = "UTC"
    locale: str | None = None  # BCP 47; what its requesters are written in when nothing more is known of them
    survey_policy: SurveyPolicy = field(default_factory=SurveyPolicy)
    lead: Agent | None = None

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
