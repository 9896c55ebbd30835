"""The email: queued, sent or failed. Rules only; sees no session and no SMTP, is told what time it is."""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.notifier.tables import Table
from shared.chassis.database import Json, Timestamp
from shared.contracts.ticket import Status

Kind = Literal["reply_published", "survey_invited", "reply_received", "ticket_reopened"]
State = Literal["queued", "sent", "failed"]

LEASE = timedelta(minutes=5)
"""How long one try may take. Longer than all of SMTP's time-outs for one email together."""

GIVE_UP_AFTER = timedelta(hours=72)
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an email says. `link` holds a token and is there only as long as the email is queued."""

    ticket_id: str
    subject: str
    author: str = ""
    text: str = ""
    link: str | None = None
    previous_status: Status | None = None
    expires_at: datetime | None = None
    locale: str | None = None  # of a requester; agents are written to in the account's


class Email(Table):
    """One email to one person about one event."""

    __tablename__ = "emails"
    __table_args__ = (
        # The event and the recipient name an email, however often and under whatever id the event arrives.
        Index("uq_emails_once", "account_id", "kind", "subject_id", func.lower(text("recipient")), unique=True),
        Index("ix_emails_due", "due_at", postgresql_where=text("state = 'queued'")),
        CheckConstraint(
            "kind IN ('reply_published', 'survey_invited', 'reply_received', 'ticket_reopened')", name="kind_is_known"
        ),
        CheckConstraint("state IN ('queued', 'sent', 'failed')", name="state_is_known"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_has_its_time"),
        CheckConstraint("state <> 'failed' OR last_error IS NOT NULL", name="failed_has_its_reason"),
        CheckConstraint("state = 'queued' OR facts ->> 'link' IS NULL", name="only_queued_keeps_a_link"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    kind: Mapped[Kind] = mapped_column(Text)
    subject_id: Mapped[str] = mapped_column(Text)
    recipient: Mapped[str] = mapped_column(Text)
    recipient_name: Mapped[str] = mapped_column(Text)
    thread: Mapped[str] = mapped_column(Text)
    facts: Mapped[Facts] = mapped_column(Json(Facts))
    state: Mapped[State] = mapped_column(Text)
    attempts: Mapped[int]
    due_at: Mapped[Timestamp]
    give_up_at: Mapped[Timestamp]
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Timestamp]
    sent_at: Mapped[Timestamp | None]

    def lease(self, now: datetime) -> None:
        """Begin a try. Should it never end, the email is due again when the lease is over."""
        self.attempts += 1
        self.due_at = now + LEASE

    def mark_sent(self, now: datetime) -> None:
        """The mail server has it."""
        self.state = "sent"
        self.sent_at = now
        self._forget_link()

    def put_off(self, reason: str, now: datetime) -> None:
        """Try again after a wait that doubles from 10 seconds to an hour, a fifth more or less at random."""
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.attempts - 1, 20))
        self.due_at = now + wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self.last_error = reason

    def fail(self, reason: str) -> None:
        """Give up for good."""
        self.state = "failed"
        self.last_error = reason
        self._forget_link()

    def _forget_link(self) -> None:
        # Links open tickets and surveys; the database is no place to find them.
        self.facts = replace(self.facts, link=None)


def gives_up_at(created_at: datetime, expires_at: datetime | None) -> datetime:
    """Tell when an email is too late to be of use: after 72 hours, or when what it asks for can no longer be done."""
    latest = created_at + GIVE_UP_AFTER
    return min(latest, expires_at) if expires_at else latest
