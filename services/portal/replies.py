"""A requester's reply takes effect: when it is sent, or when an operator restores it from the quarantine."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.ticket import Ticket
from shared.chassis.outbox import emit
from shared.public_pages.quarantine import NotRestored, QuarantinedColumns


def take_reply(ticket: Ticket, body: str, session: AsyncSession, now: datetime, *, reply_id: str | None = None) -> None:
    """Add the reply to the conversation of a ticket, which is locked, and tell of it."""
    messages, events = ticket.take_reply(body, now, reply_id=reply_id)
    session.add_all(messages)
    for event in events:
        emit(session, event)


async def restore_reply(held: QuarantinedColumns, session: AsyncSession, now: datetime) -> None:
    """Let a reply in that was put aside. It stands where the conversation is now: that is when others learn of it."""
    ticket = await session.scalar(queries.ticket_of(held.account_id, held.about))
    if ticket is None:
        raise NotRestored("Its ticket is gone.")
    if not ticket.takes_replies:
        raise NotRestored("Its ticket is closed and takes no replies.")
    take_reply(ticket, held.form["body"], session, now)
