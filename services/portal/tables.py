"""Rows without behaviour. What has rules is in ticket.py and link.py."""

from sqlalchemy import MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES
from shared.public_pages.branding import BrandedAccount
from shared.public_pages.captcha import SpentChallengeColumns


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
