"""What the demo help desk keeps: accounts, tickets, what was said, what came back, and the mailbox."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import BigInteger, Identity, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7

from shared.chassis.database import NAMES, Json, Timestamp
from shared.contracts import AccountUpdated, Attachment, Ticket


class Table(DeclarativeBase):
    """Base of the desk's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(Table):
    """A company that uses the help desk, as it was last published."""

    __tablename__ = "accounts"

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    facts: Mapped[AccountUpdated] = mapped_column(Json(AccountUpdated))


class DeskTicket(Table):
    """A ticket, as it was last published."""

    __tablename__ = "tickets"

    number: Mapped[int] = mapped_column(BigInteger, Identity(start=1001), primary_key=True)
    account_id: Mapped[str] = mapped_column(Text, index=True)
    snapshot: Mapped[Ticket] = mapped_column(Json(Ticket))
    changed_at: Mapped[Timestamp]


class Message(Table):
    """Something that was said or done in a ticket."""

    __tablename__ = "messages"

    message_id: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, index=True)
    kind: Mapped[Literal["requester", "agent", "note", "system"]] = mapped_column(Text)
    author: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    attachments: Mapped[tuple[Attachment, ...]] = mapped_column(
        Json(tuple[Attachment, ...]), default=(), server_default="[]"
    )
    sent_at: Mapped[Timestamp]

    @classmethod
    def of(
        cls,
        number: int,
        kind: str,
        author: str,
        body: str,
        sent_at: datetime,
        *,
        id: str = "",  # noqa: A002
        attachments: tuple[Attachment, ...] = (),
    ) -> "Message":
        """Make a message; without `id` it gets one of its own."""
        return cls(
            message_id=id or str(uuid7()),
            number=number,
            kind=kind,
            author=author,
            body=body,
            attachments=attachments,
            sent_at=sent_at,
        )


class Rating(Table):
    """A rating that surveys told of."""

    __tablename__ = "ratings"

    survey_id: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, index=True)
    score: Mapped[int]
    comment: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    submitted_at: Mapped[Timestamp]


class Mail(Table):
    """An email that arrived in the mailbox, as it came."""

    __tablename__ = "mails"

    mail_id: Mapped[UUID] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(Text)
    raw: Mapped[bytes]
    received_at: Mapped[Timestamp]
