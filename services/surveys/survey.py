"""The survey: pending, submitted or expired. Rules only; sees no session, is told what time it is.

A pending one may wait: to be asked, or to be asked once more. `due_at` says until when, and `ticket` is kept for the
letter as long as there is one to come.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from services.surveys import policy
from services.surveys.link import SurveyLinks
from services.surveys.tables import Account, Table
from shared import contracts
from shared.chassis.database import Json, Timestamp
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages.access_links import digest

State = Literal["pending", "submitted", "expired"]
ExpiredReason = Literal["unanswered", "reopened", "undeliverable", "skipped"]

LOW_SCORES = (1, 2)
"""Scores with which something may be picked that was wrong."""


class AlreadyAnswered(Exception):
    """The survey was answered before; the first answer stays."""


class NoLongerOpen(Exception):
    """The survey expired, or its ticket was reopened."""


class Survey(Table):
    """One question about one resolution of a ticket, and its answer."""

    __tablename__ = "surveys"
    __table_args__ = (
        UniqueConstraint("account_id", "ticket_id", "resolved_version"),
        CheckConstraint("state IN ('pending', 'submitted', 'expired')", name="state_is_known"),
        CheckConstraint("score BETWEEN 1 AND 5", name="score_in_range"),
        CheckConstraint(f"char_length(comment) <= {MAX_COMMENT_LENGTH}", name="comment_fits"),
        CheckConstraint(
            "(state = 'submitted') = (score IS NOT NULL)"
            " AND (state = 'submitted') = (submitted_at IS NOT NULL)"
            " AND (state = 'expired') = (expired_at IS NOT NULL)"
            " AND (state = 'expired') = (expired_reason IS NOT NULL)",
            name="state_has_its_facts",
        ),
        CheckConstraint(
            "due_at IS NULL OR state = 'pending' AND ticket IS NOT NULL",
            name="due_has_its_facts",
        ),
        CheckConstraint("reason IS NULL OR score <= 2", name="reason_is_of_a_low_score"),
        Index("ix_surveys_overdue", "expires_at", postgresql_where=text("state = 'pending'")),
        Index("ix_surveys_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_surveys_account_id_requester_id", "account_id", "requester_id"),
        Index("ix_surveys_account_id_created_at", "account_id", "created_at"),
    )

    survey_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(Text)
    ticket_id: Mapped[str] = mapped_column(Text)
    resolved_version: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[State] = mapped_column(Text)
    facts: Mapped[contracts.Survey] = mapped_column(Json(contracts.Survey))
    link_digest: Mapped[bytes] = mapped_column(unique=True)
    opt_out_digest: Mapped[bytes | None] = mapped_column(unique=True)
    resolved_at: Mapped[Timestamp | None]
    created_at: Mapped[Timestamp]
    ticket: Mapped[contracts.Ticket | None] = mapped_column(Json(contracts.Ticket))
    due_at: Mapped[Timestamp | None]
    invited_at: Mapped[Timestamp | None]
    expires_at: Mapped[Timestamp]
    score: Mapped[int | None]
    comment: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[contracts.ReasonGiven | None] = mapped_column(Json(contracts.ReasonGiven))
    submitted_at: Mapped[Timestamp | None]
    follow_up_at: Mapped[Timestamp | None]
    expired_reason: Mapped[ExpiredReason | None] = mapped_column(Text)
    expired_at: Mapped[Timestamp | None]
    # Written as PostgreSQL prints it, so that the drift test can compare the two.
    requester_id: Mapped[str | None] = mapped_column(Text, Computed("(facts ->> 'requester_id'::text)", persisted=True))

    @classmethod
    def open(cls, resolved: contracts.TicketResolved, account: Account, links: SurveyLinks, now: datetime) -> "Survey":
        """Make the rating record of a resolution: pending, to be asked when it is due, answerable for a while then."""
        ticket = resolved.ticket
        survey_id = uuid7()
        due_at = policy.due_at(account.survey_policy, resolved, now)
        expires_at = due_at + timedelta(days=account.survey_policy.expires_after_days)
        return cls(
            survey_id=survey_id,
            account_id=resolved.account_id,
            ticket_id=ticket.ticket_id,
            resolved_version=ticket.version,
            state="pending",
            facts=contracts.Survey(
                survey_id=str(survey_id),
                ticket_id=ticket.ticket_id,
                resolved_version=ticket.version,
                subject=ticket.subject,
                requester_name=ticket.requester.name,
                requester_locale=ticket.requester.locale,
                requester_id=ticket.requester.requester_id,
                priority=ticket.priority,
                channel=ticket.channel,
                # The resolution fixes whom the rating is about; a later change of assignee does not move it.
                agent=ticket.credited_agent,
                assignee=ticket.assignee,
                last_replier=ticket.last_replier,
                created_at=now,
                expires_at=expires_at,
            ),
            **links.digests(survey_id),
            resolved_at=resolved.resolved_at,
            created_at=now,
            ticket=ticket,
            due_at=due_at,
            expires_at=expires_at,
            comment="",
        )

    def state_at(self, now: datetime) -> State:
        """Tell the state a visitor sees.

        A survey past its time is expired though no job has said so yet. One whose invitation did not arrive is open to
        a visitor: who stands before the page has the link all the same.
        """
        if self.state == "pending" or self.expired_reason == "undeliverable":
            return "expired" if now >= self.expires_at else "pending"
        return self.state

    def ask(self, account: Account, links: SurveyLinks, now: datetime) -> contracts.SurveyInvited:
        """Tell the notifier to ask, and where the answer goes. The same again is due when the account reminds."""
        assert self.ticket
        self.invited_at = now
        invited = contracts.SurveyInvited(**self._letter(self.ticket, links))
        self._wait_until(policy.remind_at(account.survey_policy, now, self.expires_at))
        return invited

    def remind(self, links: SurveyLinks) -> contracts.SurveyReminded:
        """Tell the notifier to ask once more, and never again."""
        assert self.ticket
        reminded = contracts.SurveyReminded(**self._letter(self.ticket, links))
        self._wait_until(None)
        return reminded

    def leave_in_peace(self) -> None:
        """Ask no more, and take an answer all the same."""
        self._wait_until(None)

    def _letter(self, ticket: contracts.Ticket, links: SurveyLinks) -> dict[str, Any]:
        return {
            "account_id": self.account_id,
            "ticket": ticket,
            "survey_id": str(self.survey_id),
            "link": links.to_answer(self.survey_id),
            "expires_at": self.expires_at,
            "opt_out_link": links.to_opt_out(self.survey_id),
        }

    def _wait_until(self, due_at: datetime | None) -> None:
        self.due_at = due_at
        if due_at is None:
            self.ticket = None  # an address is kept no longer than there is something to write to it

    def answer(
        self, score: int, comment: str, now: datetime, *, reason: contracts.ReasonGiven | None = None
    ) -> contracts.SurveySubmitted:
        """Take the rating. Raises AlreadyAnswered or NoLongerOpen and then changes nothing."""
        if self.state == "submitted":
            raise AlreadyAnswered
        if self.state_at(now) == "expired":
            raise NoLongerOpen
        self.state = "submitted"
        self.expired_reason = self.expired_at = None
        self.score = score
        self.comment = comment
        self.reason = reason if score in LOW_SCORES else None
        self.submitted_at = now
        self._wait_until(None)
        return contracts.SurveySubmitted(
            account_id=self.account_id,
            survey=self.facts,
            score=score,
            comment=comment,
            submitted_at=now,
            reason=self.reason,
        )

    def follow_up(self, body: str, now: datetime) -> contracts.SurveyFollowUpRequested:
        """Take what the requester wants to talk about. Raises AlreadyAnswered when they have said it."""
        if self.follow_up_at:
            raise AlreadyAnswered
        self.follow_up_at = now
        return contracts.SurveyFollowUpRequested(
            account_id=self.account_id,
            survey=self.facts,
            follow_up_id=f"follow-up-{self.survey_id}",
            body=body,
            requested_at=now,
        )

    def expire(self, reason: ExpiredReason, now: datetime) -> contracts.SurveyExpired:
        """Close a survey that nobody answered. A reopening closes also one that could not be delivered, for good."""
        assert self.state == "pending" or (self.expired_reason, reason) == ("undeliverable", "reopened")
        self.state = "expired"
        self.expired_reason = reason
        self.expired_at = now
        self._wait_until(None)
        return contracts.SurveyExpired(account_id=self.account_id, survey=self.facts, reason=reason, expired_at=now)

    def forget_words(self) -> None:
        """Keep what figures are made of, and nothing that a person wrote or is called by."""
        self.comment = ""
        self.facts = replace(self.facts, subject="", requester_name="", requester_locale=None)

    def forget_requester(self) -> None:
        """Forget the person as well: they are written to no more, and the links that they have open nothing."""
        self.forget_words()
        self._wait_until(None)
        self.opt_out_digest = None
        self.link_digest = digest(f"erased {self.survey_id}")  # no token is spelled so

    def created(self) -> contracts.SurveyCreated:
        """Tell that the record exists."""
        return contracts.SurveyCreated(account_id=self.account_id, survey=self.facts)
