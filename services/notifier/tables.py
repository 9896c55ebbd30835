"""Rows without behaviour. The email itself, which has rules, is in emails.py."""

from sqlalchemy import ForeignKey, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES, Json, Timestamp
from shared.contracts import Agent, SurveyWording
from shared.public_pages.branding import BrandedAccount
from shared.public_pages.erasure import ErasureColumns


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """Whose name, logo and colour an email carries, and whose language where its reader's is not known.

    `survey_wording` is what the account itself says in its surveys' emails, by language. `lead` hears of low ratings.
    """

    __tablename__ = "accounts"

    locale: Mapped[str | None] = mapped_column(Text)
    survey_wording: Mapped[dict[str, SurveyWording]] = mapped_column(
        Json(dict[str, SurveyWording]), server_default=text("'{}'::jsonb")
    )
    lead: Mapped[Agent | None] = mapped_column(Json(Agent))


class Suppression(Table):
    """An address that does not exist, as a mail server said: an account's emails to it are not tried again.

    `address` is in lower case, as PostgreSQL's `lower` has it. `code` is what the server said. `requester_id` is whose
    address it is; none for an agent's.
    """

    __tablename__ = "suppressions"

    account_id: Mapped[str] = mapped_column(ForeignKey(Account.account_id), primary_key=True)
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    code: Mapped[str] = mapped_column(Text)
    suppressed_at: Mapped[Timestamp]
    requester_id: Mapped[str | None] = mapped_column(Text)


class Erasure(ErasureColumns, Table):
    """A requester who asked to be forgotten."""

    __tablename__ = "erasures"
