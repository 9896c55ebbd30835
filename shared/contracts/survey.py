"""What surveys tells: who was asked, who was not and why, and what the answers are."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.event import Event, check_facts
from shared.contracts.ticket import Agent, Priority, TicketEvent

MAX_COMMENT_LENGTH = 2000
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One question to one requester about one resolution of a ticket.

    Agents are as the resolution had them. `agent` is the credited one: `assignee`, else `last_replier`, else nobody.
    Events of an older release name no other.
    """

    survey_id: str
    ticket_id: str
    resolved_version: int
    subject: str
    requester_name: str
    priority: Priority
    channel: str
    created_at: datetime
    expires_at: datetime
    agent: Agent | None = None
    requester_locale: str | None = None
    requester_id: str | None = None  # none in what was published before this field was
    assignee: Agent | None = None
    last_replier: Agent | None = None

    def __post_init__(self) -> None:
        check_facts(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyEvent(Event):
    """An event that carries the whole survey, so that it can be understood without any other."""

    survey: Survey

    @property
    def key(self) -> str:
        """Events of one ticket's surveys on one topic stay in order."""
        return f"{self.account_id}/{self.survey.ticket_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyCreated(SurveyEvent):
    """A rating record exists and is Pending."""

    topic: ClassVar[str] = "survey.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyInvited(TicketEvent):
    """The requester is to be asked now. Carries the link: for the notifier alone.

    `opt_out_link` opens nothing but the choice not to be asked any more. A POST there, as mail programs send by
    themselves (RFC 8058), makes it. An older release said none.
    """

    topic: ClassVar[str] = "survey.invited"

    survey_id: str
    link: str
    expires_at: datetime
    opt_out_link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyReminded(TicketEvent):
    """The requester was asked and has not answered: they are asked once more, with the same links."""

    topic: ClassVar[str] = "survey.reminded"

    survey_id: str
    link: str
    expires_at: datetime
    opt_out_link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonGiven:
    """What the requester picked with a low score: its code, and its text as they read it."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveySubmitted(SurveyEvent):
    """The requester rated: 1 (worst) to 5 stars, with a comment of at most 2,000 characters or an empty one.

    With 1 or 2 stars they may have picked a `reason`.
    """

    topic: ClassVar[str] = "survey.submitted"

    score: int
    comment: str = ""
    submitted_at: datetime
    reason: ReasonGiven | None = None

    def __post_init__(self) -> None:
        check_facts(self)
        if not 1 <= self.score <= 5:
            raise ValueError("score must be 1 to 5")
        if len(self.comment) > MAX_COMMENT_LENGTH:
            raise ValueError(f"comment must have at most {MAX_COMMENT_LENGTH} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyExpired(SurveyEvent):
    """No answer to the survey is expected any more.

    `unanswered`: its time ran out. `reopened`: the ticket was reopened before an answer. `undeliverable`: the requester
    was never asked, for the invitation could not be delivered. Should they have got the link all the same, they may
    answer it until its time is over, and `survey.submitted` follows; a reopening is said again as `reopened`.
    `skipped`: when the time to ask had come, there was a reason not to; `survey.skipped` tells it.
    """

    topic: ClassVar[str] = "survey.expired"

    reason: Literal["unanswered", "reopened", "undeliverable", "skipped"]
    expired_at: datetime


SkipReason = Literal["disabled", "no_address", "too_old", "not_sampled", "opted_out", "no_reply", "asked_recently"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveySkipped(TicketEvent):
    """Nobody is asked about a resolution, and why.

    `disabled`: the account asks nobody. `no_address`: the requester cannot be reached. `too_old`: it was heard of when
    the survey would have been over. `not_sampled`: the account asks about a share of its resolutions, and this is none
    of them. `opted_out`: the requester wants no surveys. `no_reply`: no agent has answered the ticket.
    `asked_recently`: the requester was asked about another resolution a short while ago.
    """

    topic: ClassVar[str] = "survey.skipped"

    reason: SkipReason
    skipped_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyFollowUpRequested(SurveyEvent):
    """After a survey the requester wants to talk again, and wrote what about. Counts as their reply to the ticket."""

    topic: ClassVar[str] = "survey.follow_up_requested"

    follow_up_id: str
    body: str
    requested_at: datetime
