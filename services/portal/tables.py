"""Rows without behaviour. What has rules is in ticket.py and link.py."""

from sqlalchemy import Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES
from shared.public_pages.branding import BrandedAccount
from shared.public_pages.captcha import SpentChallengeColumns
from shared.public_pages.erasure import ErasureColumns
from shared.public_pages.quarantine import QuarantinedColumns
from shared.public_pages.rate_limits import BucketColumns


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """An account as its requesters see it."""

    __tablename__ = "accounts"

    locale: Mapped[str | None] = mapped_column(Text)


class SpentChallenge(SpentChallengeColumns, Table):
    """A captcha that was used."""

    __tablename__ = "spent_challenges"


class RateLimitBucket(BucketColumns, Table):
    """How much somebody asked for lately."""

    __tablename__ = "rate_limit_buckets"


class Quarantined(QuarantinedColumns, Table):
    """A reply that looks like a robot's."""

    __tablename__ = "quarantined"
    __table_args__ = (Index("ix_quarantined_account_id_about", "account_id", "about"),)


class Erasure(ErasureColumns, Table):
    """A requester who asked to be forgotten."""

    __tablename__ = "erasures"
