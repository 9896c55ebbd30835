"""Rows without behaviour. The survey itself, which has rules, is in survey.py."""

from sqlalchemy import BigInteger, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES, Json, Timestamp
from shared.contracts import SurveyPolicy
from shared.contracts.survey import SkipReason
from shared.public_pages.branding import BrandedAccount
from shared.public_pages.captcha import SpentChallengeColumns
from shared.public_pages.erasure import ErasureColumns
from shared.public_pages.quarantine import QuarantinedColumns
from shared.public_pages.rate_limits import BucketColumns


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """An account and its survey policy."""

    __tablename__ = "accounts"

    locale: Mapped[str | None] = mapped_column(Text)
    survey_policy: Mapped[SurveyPolicy] = mapped_column(Json(SurveyPolicy))


class Ticket(Table):
    """How far a ticket's resolutions are undone: every one at `reopened_through` or below it."""

    __tablename__ = "tickets"

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    reopened_through: Mapped[int] = mapped_column(BigInteger)


class AnsweredTicket(Table):
    """A ticket that an agent has answered publicly. That they did, not what they wrote."""

    __tablename__ = "answered_tickets"

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)


class SkippedSurvey(Table):
    """A resolution about which nobody is asked, and why. `requester_id` is not known of what an older release wrote."""

    __tablename__ = "skipped_surveys"
    __table_args__ = (Index("ix_skipped_surveys_account_id_skipped_at", "account_id", "skipped_at"),)

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    resolved_version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    requester_id: Mapped[str | None] = mapped_column(Text)
    resolved_at: Mapped[Timestamp | None]
    reason: Mapped[SkipReason] = mapped_column(Text)
    skipped_at: Mapped[Timestamp]


class OptOut(Table):
    """A requester who wants no surveys of an account."""

    __tablename__ = "opt_outs"

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    requester_id: Mapped[str] = mapped_column(Text, primary_key=True)
    opted_out_at: Mapped[Timestamp]


class SpentChallenge(SpentChallengeColumns, Table):
    """A captcha that was used."""

    __tablename__ = "spent_challenges"


class RateLimitBucket(BucketColumns, Table):
    """How much somebody asked for lately."""

    __tablename__ = "rate_limit_buckets"


class Quarantined(QuarantinedColumns, Table):
    """A rating that looks like a robot's."""

    __tablename__ = "quarantined"
    __table_args__ = (Index("ix_quarantined_account_id_about", "account_id", "about"),)


class Erasure(ErasureColumns, Table):
    """A requester who asked to be forgotten."""

    __tablename__ = "erasures"
