"""Rows without behaviour. What has rules is in ticket.py and link.py."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from shared.chassis.database import NAMES
from shared.public_pages.branding import BrandedAccount
from shared.public_pages.captcha import SpentChallengeColumns
from shared.public_pages.rate_limits import BucketColumns


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """An account as its requesters see it."""

    __tablename__ = "accounts"


class SpentChallenge(SpentChallengeColumns, Table):
    """A captcha that was used."""

    __tablename__ = "spent_challenges"


class RateLimitBucket(BucketColumns, Table):
    """How much somebody asked for lately."""

    __tablename__ = "rate_limit_buckets"
