"""The ticket and its conversation, and what its requester makes of it. Rules only; sees no session, is told the time.

Two facts decide what a ticket's status is: the newest snapshot the help desk told, and what the requester did here last
at which version, reopened it by a reply or marked it as solved. What the requester did holds until the help desk tells
a later version. Versions only ever grow, so whatever order events come in, they end in the same status.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, CheckConstraint, Computed, Index, Text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from services.portal.file_names import presentable
from services.portal.rich_text import harmless
from services.portal.tables import Table
from shared import contracts
from shared.chassis.database import Json, Timestamp
from shared.contracts.ticket import Status
from shared.public_pages.forms import plain_text

MAX_REPLY_LENGTH = 20_000
"""Characters."""

DESCRIPTION = "description"
"""Message id of what the requester wrote when they asked for help; the help desk gives it none."""

Kind = Literal["agent", "requester", "system"]
Happening = Literal["resolved", "reopened", "solved"]


class Message(Table):
    """One entry of a conversation: what an agent or the requester wrote, or what happened to the ticket.

    `body_html` is the agent's own formatting of `body`, already harmless; empty where there is none.
    `happening` and, for a reopening, `previous_status` say what a system message is about; its `author_name` is who
    did it, empty when a rule of the help desk did. Agents' and requesters' ids are told apart by `kind`.
    `requester_id` is whose ticket it was then: what was written by them or to them.
    """

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("kind IN ('agent', 'requester', 'system')", name="kind_is_known"),
        CheckConstraint(
            "(kind = 'system') = (happening IS NOT NULL) AND (kind <> 'system' OR body = '')", name="kind_has_its_facts"
        ),
        CheckConstraint(
            "(coalesce(happening, '') = 'reopened') = (previous_status IS NOT NULL)",
            name="reopening_knows_what_it_undid",
        ),
        Index("ix_messages_account_id_requester_id", "account_id", "requester_id"),
    )

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[Kind] = mapped_column(Text, primary_key=True)
    message_id: Mapped[str] = mapped_column(Text, primary_key=True)
    author_name: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text, default="")
    body_html: Mapped[str] = mapped_column(Text, default="", server_default="")
    happening: Mapped[Happening | None] = mapped_column(Text)
    previous_status: Mapped[Status | None] = mapped_column(Text)
    attachments: Mapped[tuple[contracts.Attachment, ...]] = mapped_column(
        Json(tuple[contracts.Attachment, ...]), default=(), server_default="[]"
    )
    sent_at: Mapped[Timestamp]
    requester_id: Mapped[str | None] = mapped_column(Text)


class Ticket(Table):
    """A ticket as the help desk told it last, and at which version its requester reopened or solved it; 0 for never.

    Where both are of the same version, solving came last: a reply takes it back.
    `revision` grows with everything that somebody who has the page open would see.
    """

    __tablename__ = "tickets"
    __table_args__ = (Index("ix_tickets_account_id_requester_id", "account_id", "requester_id"),)

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    snapshot: Mapped[contracts.Ticket] = mapped_column(Json(contracts.Ticket))
    reopened_version: Mapped[int] = mapped_column(BigInteger, default=0)
    solved_version: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    revision: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    requester_id: Mapped[str | None] = mapped_column(
        # Written as PostgreSQL prints it, so that the drift test can compare the two.
        Text,
        Computed("(snapshot #>> '{requester,requester_id}'::text[])", persisted=True),
    )

    def learn(self, told: contracts.Ticket) -> None:
        """Take what an event tells of the ticket, unless something newer is known."""
        if told.version > self.version:
            self.version = told.version
            self.snapshot = told
            self.revision += 1

    @property
    def status(self) -> Status:
        """The status to show: what the requester did holds until the help desk tells a later version of the ticket."""
        known = self.snapshot.status
        if known == "closed":
            return known
        if self.solved_version >= self.version:
            return "resolved"
        return "open" if _is_reopened_by_a_reply(known) and self.reopened_version >= self.version else known

    @property
    def takes_replies(self) -> bool:
        """Closed tickets take none."""
        return self.status != "closed"

    @property
    def can_be_solved(self) -> bool:
        """Whether the requester can say that they need no more help."""
        return self.status in {"open", "pending"}

    @property
    def known(self) -> contracts.Ticket:
        """The newest snapshot, with the status that is shown."""
        return replace(self.snapshot, status=self.status)

    def was_told(self, reply: contracts.ReplySent) -> Message:
        """An agent's public reply, as an entry of the conversation."""
        return self._message(
            "agent",
            reply.reply_id,
            reply.author.name,
            reply.sent_at,
            requester_id=reply.ticket.requester.requester_id,
            body=plain_text(reply.body),
            body_html=harmless(plain_text(reply.body_html)),
            attachments=reply.attachments,
        )

    def was_asked(
        self,
        message_id: str,
        body: str,
        by: contracts.Requester,
        at: datetime,
        attachments: Sequence[contracts.Attachment] = (),
    ) -> Message:
        """Something the requester wrote, as an entry of the conversation."""
        return self._message(
            "requester",
            message_id,
            by.name,
            at,
            requester_id=by.requester_id,
            body=plain_text(body),
            attachments=attachments,
        )

    def was_resolved(self, resolved: contracts.TicketResolved) -> Message:
        """A resolution, as an entry of the conversation: one for each version that is one."""
        name = resolved.resolved_by.name if resolved.resolved_by else ""
        return self._message(
            "system",
            f"resolved/{resolved.ticket.version}",
            name,
            resolved.resolved_at,
            requester_id=resolved.ticket.requester.requester_id,
            happening="resolved",
        )

    def take_reply(
        self,
        body: str,
        now: datetime,
        attachments: Sequence[contracts.Attachment] = (),
        *,
        reply_id: str | None = None,
    ) -> tuple[list[Message], list[contracts.Event]]:
        """Take the requester's reply: what it adds to the conversation, and what there is to tell.

        Pending or resolved becomes open, which a system message says. Closed stays closed: no form sends a reply then,
        but what was written elsewhere, and has its `reply_id` from there, is told all the same.
        """
        previous_status = self.status
        self.revision += 1
        reply_id = reply_id or str(uuid7())
        requester = self.snapshot.requester
        messages = [self.was_asked(reply_id, body, requester, now, attachments)]
        reopened = _is_reopened_by_a_reply(previous_status)
        if reopened:
            self.reopened_version = self.version
            self.solved_version = 0
            messages.append(
                self._message(
                    "system",
                    f"reopened/{reply_id}",
                    requester.name,
                    now,
                    requester_id=requester.requester_id,
                    happening="reopened",
                    previous_status=previous_status,
                )
            )
        told: list[contracts.Event] = [
            contracts.ReplyReceived(
                account_id=self.account_id,
                ticket=self.known,
                reply_id=reply_id,
                body=body,
                received_at=now,
                reopened=reopened,
                attachments=tuple(attachments),
            )
        ]
        if reopened:
            told.append(
                contracts.TicketReopened(
                    account_id=self.account_id,
                    ticket=self.known,
                    reply_id=reply_id,
                    body=body,
                    previous_status=previous_status,
                    reopened_at=now,
                )
            )
        return messages, told

    def mark_solved(self, now: datetime) -> tuple[Message, contracts.TicketSolved]:
        """Take the requester's word that they need no more help: what it adds to the conversation, and what to tell."""
        assert self.can_be_solved
        previous_status = self.status
        self.solved_version = self.version
        self.revision += 1
        solved_id = str(uuid7())
        requester = self.snapshot.requester
        message = self._message(
            "system",
            f"solved/{solved_id}",
            requester.name,
            now,
            requester_id=requester.requester_id,
            happening="solved",
        )
        return message, contracts.TicketSolved(
            account_id=self.account_id,
            ticket=self.known,
            solved_id=solved_id,
            previous_status=previous_status,
            solved_at=now,
        )

    def _message(
        self,
        kind: Kind,
        message_id: str,
        author_name: str,
        sent_at: datetime,
        *,
        requester_id: str,
        body: str = "",
        body_html: str = "",
        attachments: Sequence[contracts.Attachment] = (),
        happening: Happening | None = None,
        previous_status: Status | None = None,
    ) -> Message:
        return Message(
            account_id=self.account_id,
            ticket_id=self.ticket_id,
            kind=kind,
            message_id=message_id,
            author_name=author_name,
            body=body,
            body_html=body_html,
            attachments=tuple(replace(each, name=presentable(each.name)) for each in attachments),
            happening=happening,
            previous_status=previous_status,
            sent_at=sent_at,
            requester_id=requester_id,
        )


def _is_reopened_by_a_reply(status: Status) -> bool:
    return status in {"pending", "resolved"}


def reopened_by_last_reply(messages: Sequence[Message]) -> bool:
    """Tell whether the requester's last reply in a conversation, oldest first, reopened the ticket."""
    replies = [message.message_id for message in messages if message.kind == "requester"]
    return bool(replies) and any(message.message_id == f"reopened/{replies[-1]}" for message in messages)
