"""Rows without behaviour. What has rules is in ticket.py and link.py."""

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES, Timestamp
from shared.public_pages.api_keys import ApiKeyColumns
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


class ApiKey(ApiKeyColumns, Table):
    """A key to the attachments of one account, or of all accounts when it names none."""

    __tablename__ = "api_keys"

    account_id: Mapped[str | None] = mapped_column(ForeignKey(Account.account_id), index=True)


class AttachedFile(Table):
    """The bytes that messages refer to by an attachment's id: stored as `object_id`, or null while they are awaited.

    `ticket_id` is whose conversation awaits or has them. Kept for ever without `kept_until`; else until then, and while
    a quarantined reply holds them.
    """

    __tablename__ = "attached_files"
    __table_args__ = (
        CheckConstraint(
            "(object_id IS NULL) = (size IS NULL) AND (object_id IS NULL) = (digest IS NULL)"
            " AND (object_id IS NULL) = (media_type IS NULL)",
            name="stored_has_its_facts",
        ),
        Index("ix_attached_files_kept_until", "kept_until", postgresql_where=text("kept_until IS NOT NULL")),
    )

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    attachment_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str | None] = mapped_column(Text)
    object_id: Mapped[UUID | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    digest: Mapped[bytes | None]
    media_type: Mapped[str | None] = mapped_column(Text)
    kept_until: Mapped[Timestamp | None]
    quarantine_id: Mapped[UUID | None] = mapped_column(
        ForeignKey(Quarantined.quarantine_id, ondelete="SET NULL"), index=True
    )


class LooseObject(Table):
    """An object of the storage that is nobody's: on its way in, or on its way out."""

    __tablename__ = "loose_objects"

    object_id: Mapped[UUID] = mapped_column(primary_key=True)
    since: Mapped[Timestamp] = mapped_column(index=True)
