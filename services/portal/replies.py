"""What a requester does takes effect: a reply, sent or restored from the quarantine, and that a ticket is solved."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.attached_files import expect, keep
from services.portal.chosen_files import Files
from services.portal.ticket import Ticket
from shared.chassis.outbox import emit
from shared.contracts import Attachment
from shared.public_pages.quarantine import NotRestored, Quarantine, QuarantinedColumns, Reason

SOLVED = "solved"
"""The field of what is put aside in the place of a reply: somebody, or a robot, marked a ticket as solved."""


def take_reply(
    ticket: Ticket,
    body: str,
    session: AsyncSession,
    now: datetime,
    attachments: Sequence[Attachment] = (),
    *,
    reply_id: str | None = None,
) -> None:
    """Add the reply to the conversation of a ticket, which is locked, and tell of it."""
    messages, events = ticket.take_reply(body, now, attachments, reply_id=reply_id)
    session.add_all(messages)
    for event in events:
        emit(session, event)


def take_solution(ticket: Ticket, session: AsyncSession, now: datetime) -> None:
    """Mark a ticket as solved that is locked and can be, and tell of it."""
    message, solved = ticket.mark_solved(now)
    session.add(message)
    emit(session, solved)


async def put_aside(
    reason: Reason,
    ticket: Ticket,
    body: str,
    files: Files,
    session: AsyncSession,
    *,
    quarantine: Quarantine,
    now: datetime,
) -> None:
    """Quarantine a reply; with its files, when whoever sent it solved the captcha."""
    stored = files if files.are_stored else Files()
    held = {"body": body}
    if stored.stored:
        held["attachments"] = msgspec.json.encode(stored.attachments).decode()
    quarantine_id = await quarantine.keep(
        reason, held, session, now, account_id=ticket.account_id, about=ticket.ticket_id
    )
    if quarantine_id:
        await keep(stored, session, now, account_id=ticket.account_id, quarantine_id=quarantine_id)


async def restore_reply(held: QuarantinedColumns, session: AsyncSession, now: datetime) -> None:
    """Let in a reply, or that a ticket is solved, that was put aside.

    It stands where the conversation is now: that is when others learn of it.
    """
    ticket = await session.scalar(queries.ticket_of(held.account_id, held.about))
    if ticket is None:
        raise NotRestored("Its ticket is gone.")
    if SOLVED in held.form:
        if not ticket.can_be_solved:
            raise NotRestored(f"Its ticket is {ticket.status}.")
        take_solution(ticket, session, now)
        return
    if not ticket.takes_replies:
        raise NotRestored("Its ticket is closed and takes no replies.")
    attachments = msgspec.json.decode(held.form.get("attachments", "[]"), type=tuple[Attachment, ...])
    await expect(attachments, session, account_id=held.account_id, ticket_id=held.about)
    take_reply(ticket, held.form["body"], session, now, attachments)
