"""SELECTs with names."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, func, select

from services.portal.link import AccessLink
from services.portal.tables import AttachedFile
from services.portal.ticket import Message, Ticket
from shared.contracts import Attachment
from shared.public_pages.access_links import digest


def ticket_behind(token: str, now: datetime) -> Select[Ticket]:
    """Find the ticket a link opens; none when the link is unknown, expired or revoked, or the requester was erased."""
    return (
        select(Ticket)
        .join(
            AccessLink,
            (AccessLink.account_id == Ticket.account_id) & (AccessLink.ticket_id == Ticket.ticket_id),
        )
        .where(
            AccessLink.digest == digest(token),
            AccessLink.expires_at > now,
            AccessLink.revoked_at.is_(None),
            # Of the ticket itself: who waits for its lock while its requester is erased finds it gone, too.
            func.coalesce(func.jsonb_extract_path_text(Ticket.snapshot, "requester", "erased"), "false") == "false",
        )
    )


def ticket_of(account_id: str, ticket_id: str) -> Select[Ticket]:
    """Find a ticket, locked."""
    return select(Ticket).filter_by(account_id=account_id, ticket_id=ticket_id).with_for_update()


def links_of(account_id: str, ticket_id: str) -> Select[AccessLink]:
    """Find a ticket's links as they are now, the current one first."""
    return (
        select(AccessLink).filter_by(account_id=account_id, ticket_id=ticket_id).order_by(AccessLink.generation.desc())
    )


def revision_of(ticket: Ticket) -> Select[int]:
    """Find how far a ticket has come by now."""
    return select(Ticket.revision).filter_by(account_id=ticket.account_id, ticket_id=ticket.ticket_id)


def conversation_of(ticket: Ticket) -> Select[Message]:
    """Find a ticket's messages, oldest first."""
    return (
        select(Message)
        .filter_by(account_id=ticket.account_id, ticket_id=ticket.ticket_id)
        .order_by(Message.sent_at, Message.message_id, Message.kind)
    )


def attachments_of(ticket: Ticket) -> Select[tuple[Attachment, ...]]:
    """Find the attachments that a ticket's messages tell of, those of one message after the other."""
    return select(Message.attachments).filter_by(account_id=ticket.account_id, ticket_id=ticket.ticket_id)


def files_there(account_id: str, attachments: Sequence[Attachment]) -> Select[str]:
    """Find which of some attachments have come, by id."""
    ids = [attachment.attachment_id for attachment in attachments]
    return select(AttachedFile.attachment_id).where(
        AttachedFile.account_id == account_id,
        AttachedFile.attachment_id.in_(ids),
        AttachedFile.object_id.is_not(None),
    )
