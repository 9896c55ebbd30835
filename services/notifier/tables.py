"""Rows without behaviour. The email itself, which has rules, is in emails.py."""

from sqlalchemy import MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES
from shared.public_pages.branding import BrandedAccount


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """Whose name, logo and colour an email carries, and whose language where its reader's is not known."""

    __tablename__ = "accounts"

    locale: Mapped[str | None] = mapped_column(Text)
