"""A requester's reply takes effect: when it is sent, or when an operator restores it from the quarantine."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.attached_files import expect
from services.portal.ticket import Ticket
from shared.chassis.outbox import emit
from shared.contracts import Attachment
from shared.public_pages.quarantine import NotRestored, QuarantinedColumns


def take_reply(
    ticket: Ticket, body: str, session: AsyncSession, now: datetime, attachments: Sequence[Attachment] = ()
) -> None:
    """Add the reply to the conversation of a ticket that is locked and takes replies, and tell of it."""
    messages, events = ticket.take_reply(body, now, attachments)
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
    attachments = msgspec.json.decode(held.form.get("attachments", "[]"), type=tuple[Attachment, ...])
    await expect(attachments, session, account_id=held.account_id)
    take_reply(ticket, held.form["body"], session, now, attachments)
