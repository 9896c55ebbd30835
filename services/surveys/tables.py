"""Rows without behaviour. The survey itself, which has rules, is in survey.py."""

from sqlalchemy import BigInteger, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES, Timestamp
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
    surveys_enabled: Mapped[bool]
    survey_expires_after_days: Mapped[int]


class Ticket(Table):
    """How far a ticket's resolutions are undone: every one at `reopened_through` or below it."""

    __tablename__ = "tickets"

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    reopened_through: Mapped[int] = mapped_column(BigInteger)


class SkippedSurvey(Table):
    """A resolution that led to no survey, and why."""

    __tablename__ = "skipped_surveys"

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    resolved_version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    skipped_at: Mapped[Timestamp]


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
