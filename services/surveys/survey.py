"""The survey: pending, submitted or expired. Rules only; sees no session, is told what time it is."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from services.surveys.tables import Account, Table
from shared import contracts
from shared.chassis.database import Json, Timestamp
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages.access_links import AccessLinks, digest

State = Literal["pending", "submitted", "expired"]


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
        Index("ix_surveys_overdue", "expires_at", postgresql_where=text("state = 'pending'")),
        Index("ix_surveys_account_id_requester_id", "account_id", "requester_id"),
    )

    survey_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(Text)
    ticket_id: Mapped[str] = mapped_column(Text)
    resolved_version: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[State] = mapped_column(Text)
    facts: Mapped[contracts.Survey] = mapped_column(Json(contracts.Survey))
    link_digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[Timestamp]
    expires_at: Mapped[Timestamp]
    score: Mapped[int | None]
    comment: Mapped[str] = mapped_column(Text, default="")
    submitted_at: Mapped[Timestamp | None]
    expired_reason: Mapped[str | None] = mapped_column(Text)
    expired_at: Mapped[Timestamp | None]
    # Written as PostgreSQL prints it, so that the drift test can compare the two.
    requester_id: Mapped[str | None] = mapped_column(Text, Computed("(facts ->> 'requester_id'::text)", persisted=True))

    @classmethod
    def open(cls, resolved: contracts.TicketResolved, account: Account, links: AccessLinks, now: datetime) -> "Survey":
        """Make the rating record of a resolution: pending, answerable for as long as the account says."""
        ticket = resolved.ticket
        survey_id = uuid7()
        expires_at = now + timedelta(days=account.survey_expires_after_days)
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
                created_at=now,
                expires_at=expires_at,
            ),
            link_digest=digest(links.token(str(survey_id))),
            created_at=now,
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

    def answer(self, score: int, comment: str, now: datetime) -> contracts.SurveySubmitted:
        """Take the rating. Raises AlreadyAnswered or NoLongerOpen and then changes nothing."""
        if self.state == "submitted":
            raise AlreadyAnswered
        if self.state_at(now) == "expired":
            raise NoLongerOpen
        self.state = "submitted"
        self.expired_reason = self.expired_at = None
        self.score = score
        self.comment = comment
        self.submitted_at = now
        return contracts.SurveySubmitted(
            account_id=self.account_id, survey=self.facts, score=score, comment=comment, submitted_at=now
        )

    def expire(
        self, reason: Literal["unanswered", "reopened", "undeliverable"], now: datetime
    ) -> contracts.SurveyExpired:
        """Close a survey that nobody answered. A reopening closes also one that could not be delivered, for good."""
        assert self.state == "pending" or (self.expired_reason, reason) == ("undeliverable", "reopened")
        self.state = "expired"
        self.expired_reason = reason
        self.expired_at = now
        return contracts.SurveyExpired(account_id=self.account_id, survey=self.facts, reason=reason, expired_at=now)

    def forget_words(self) -> None:
        """Keep what figures are made of, and nothing that a person wrote or is called by."""
        self.comment = ""
        self.facts = replace(self.facts, subject="", requester_name="", requester_locale=None)

    def forget_requester(self) -> None:
        """Forget the person as well: the link that they have opens nothing any more."""
        self.forget_words()
        self.link_digest = digest(f"erased {self.survey_id}")  # no token is spelled so

    def created(self) -> contracts.SurveyCreated:
        """Tell that the record exists."""
        return contracts.SurveyCreated(account_id=self.account_id, survey=self.facts)

    def invited(self, ticket: contracts.Ticket, links: AccessLinks) -> contracts.SurveyInvited:
        """Tell the notifier to ask, and where the answer goes."""
        return contracts.SurveyInvited(
            account_id=self.account_id,
            ticket=ticket,
            survey_id=str(self.survey_id),
            link=links.url(links.token(str(self.survey_id))),
            expires_at=self.expires_at,
        )
