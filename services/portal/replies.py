"""What a requester does takes effect: a reply, sent or restored from the quarantine, and that a ticket is solved."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.ticket import Ticket
from shared.chassis.outbox import emit
from shared.public_pages.quarantine import NotRestored, QuarantinedColumns


def take_reply(ticket: Ticket, body: str, session: AsyncSession, now: datetime) -> None:
    """Add the reply to the conversation of a ticket that is locked and takes replies, and tell of it."""
    messages, events = ticket.take_reply(body, now)
    session.add_all(messages)
    for event in events:
        emit(session, event)


def take_solution(ticket: Ticket, session: AsyncSession, now: datetime) -> None:
    """Mark a ticket as solved that is locked and can be, and tell of it."""
    message, solved = ticket.mark_solved(now)
    session.add(message)
    emit(session, solved)


async def restore_reply(held: QuarantinedColumns, session: AsyncSession, now: datetime) -> None:
    """Let a reply in that was put aside. It stands where the conversation is now: that is when others learn of it."""
    ticket = await session.scalar(queries.ticket_of(held.account_id, held.about))
    if ticket is None:
        raise NotRestored("Its ticket is gone.")
    if not ticket.takes_replies:
        raise NotRestored("Its ticket is closed and takes no replies.")
    take_reply(ticket, held.form["body"], session, now)
