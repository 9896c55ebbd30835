"""Rows without behaviour. The email itself, which has rules, is in emails.py."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from shared.chassis.database import NAMES
from shared.public_pages.branding import BrandedAccount


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """Whose name, logo and colour an email carries."""

    __tablename__ = "accounts"
