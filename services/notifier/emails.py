"""The email: queued, sent or failed. Rules only; sees no session and no SMTP, is told what time it is."""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Text, false, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.notifier.tables import Table
from shared.chassis.database import Json, Timestamp
from shared.contracts import NotificationFailed
from shared.contracts.notification import Kind, Reason
from shared.contracts.ticket import Status

State = Literal["queued", "sent", "failed"]

TO_REQUESTERS = ("reply_published", "link_renewed", "survey_invited", "survey_reminded")
"""Kinds that go to the requester; the others go to agents."""

LEASE = timedelta(minutes=5)
"""How long one try may take, from taking the email in hand to settling what became of it."""

GIVE_UP_AFTER = timedelta(hours=72)
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an email says. Links hold a token each and are there only as long as the email is queued."""

    ticket_id: str
    subject: str
    author: str = ""
    text: str = ""
    link: str | None = None
    opt_out_link: str | None = None
    previous_status: Status | None = None
    expires_at: datetime | None = None
    locale: str | None = None  # of a requester; agents are written to in the account's
    score: int | None = None
    reason: str = ""
    files: tuple[str, ...] = ()  # the names of attachments


class Email(Table):
    """One email to one person about one event.

    Queued, then sent or failed. Sent means that the mail server took it; should it come back as undeliverable, it is
    failed with the time it was sent at.
    """

    __tablename__ = "emails"
    __table_args__ = (
        # The event and the recipient name an email, however often and under whatever id the event arrives.
        Index("uq_emails_once", "account_id", "kind", "subject_id", func.lower(text("recipient")), unique=True),
        Index("ix_emails_due", "due_at", postgresql_where=text("state = 'queued'")),
        CheckConstraint(
            "kind IN ('reply_published', 'link_renewed', 'survey_invited', 'survey_reminded', 'reply_received',"
            " 'ticket_reopened', 'ticket_solved', 'survey_submitted')",
            name="kind_is_known",
        ),
        CheckConstraint("state IN ('queued', 'sent', 'failed')", name="state_is_known"),
        CheckConstraint("state = 'failed' OR (state = 'sent') = (sent_at IS NOT NULL)", name="sent_has_its_time"),
        CheckConstraint(
            "failed_reason IN ('bounced', 'suppressed', 'unwritable', 'gave_up')", name="failed_reason_is_known"
        ),
        CheckConstraint("(state = 'failed') = (failed_reason IS NOT NULL)", name="failed_has_its_reason"),
        CheckConstraint(
            "state = 'queued' OR facts ->> 'link' IS NULL AND facts ->> 'opt_out_link' IS NULL",
            name="only_queued_keeps_a_link",
        ),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        Index("ix_emails_account_id_requester_id", "account_id", "requester_id"),
        Index("ix_emails_slots", "address", "slot_at", postgresql_where=text("slot_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.account_id"))
    kind: Mapped[Kind] = mapped_column(Text)
    subject_id: Mapped[str] = mapped_column(Text)
    recipient: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text, Computed("lower(recipient)", persisted=True))
    """By which addresses are compared. A column, for no index on `lower` is used behind row-level security."""
    recipient_name: Mapped[str] = mapped_column(Text)
    thread: Mapped[str] = mapped_column(Text)
    facts: Mapped[Facts] = mapped_column(Json(Facts))
    state: Mapped[State] = mapped_column(Text)
    attempts: Mapped[int]
    due_at: Mapped[Timestamp]
    give_up_at: Mapped[Timestamp]
    held_until: Mapped[Timestamp | None]
    """When the lease of who has it in hand ends, by the database's clock."""
    slot_at: Mapped[Timestamp | None]
    """When it counts, or will, among the emails that its recipient gets within an hour; none before it was due."""
    unsettled: Mapped[bool] = mapped_column(server_default=false())
    """A try began, and whether the mail server took the email is not known, or not yet."""
    last_error: Mapped[str | None] = mapped_column(Text)
    failed_reason: Mapped[Reason | None] = mapped_column(Text)
    traceparent: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[Timestamp]
    sent_at: Mapped[Timestamp | None]
    requester_id: Mapped[str | None] = mapped_column(Text)
    """Whose ticket the email is about, whoever it is to."""

    def lease(self) -> bool:
        """Begin a try and tell whether it may repeat an earlier one, which was never settled.

        Should it never end, the email is due again when the lease is over.
        """
        may_repeat = self.unsettled
        self.unsettled = True
        self.attempts += 1
        # By the one clock that all replicas see: their own may differ, or be set in the middle of a try.
        self.held_until = func.now() + LEASE
        return may_repeat

    def wait_for_slot(self, slot_at: datetime) -> None:
        """Let others of the recipient's emails go first, until the slot, or until it is too late to be of use."""
        self.slot_at = self.due_at = min(slot_at, self.give_up_at)
        self.last_error = "the recipient has got as many emails as one may within an hour"

    def mark_sent(self, now: datetime) -> None:
        """The mail server has it."""
        self.state = "sent"
        self.sent_at = now
        self.held_until = None
        self.unsettled = False
        self._forget_link()

    def put_off(self, error: str, now: datetime, *, unsettled: bool = False) -> None:
        """Try again after a wait that doubles from 10 seconds to an hour, a fifth more or less at random.

        `unsettled`: the mail server may have taken the email all the same.
        """
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(self.attempts - 1, 20))
        self.due_at = now + wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self.held_until = None
        self.unsettled = unsettled
        self.last_error = error

    def fail(self, reason: Reason, error: str, now: datetime, *, code: str = "") -> NotificationFailed:
        """Give up for good, also on an email that was sent and came back. `code` is what a server said, if one did."""
        assert self.state != "failed"
        self.state = "failed"
        self.held_until = None
        self.unsettled = False
        self.failed_reason = reason
        self.last_error = error
        self._forget_link()
        return NotificationFailed(
            account_id=self.account_id,
            ticket_id=self.facts.ticket_id,
            notification_id=str(self.id),
            kind=self.kind,
            subject_id=self.subject_id,
            reason=reason,
            code=code,
            failed_at=now,
        )

    def _forget_link(self) -> None:
        # Links open tickets and surveys; the database is no place to find them.
        self.facts = replace(self.facts, link=None, opt_out_link=None)


def gives_up_at(created_at: datetime, expires_at: datetime | None) -> datetime:
    """Tell when an email is too late to be of use: after 72 hours, or when what it asks for can no longer be done."""
    latest = created_at + GIVE_UP_AFTER
    return min(latest, expires_at) if expires_at else latest
