"""What the portal lets go of when a requester is erased: everything they wrote or were written, and their links."""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal.attached_files import let_go
from services.portal.link import AccessLink
from services.portal.tables import Erasure, Quarantined
from services.portal.ticket import Message, Ticket
from shared.contracts import RequesterErased
from shared.public_pages.erasure import Erasures, ticket_without_requester

erasures = Erasures("portal", Erasure)


async def erase(erased: RequesterErased, session: AsyncSession, *, now: datetime) -> dict[str, int]:
    """Empty the requester's tickets, delete their messages and replies that were put aside, revoke their links.

    A ticket that has passed to somebody else keeps that one's messages; its old link, which both have, is revoked.
    """
    whose = {"account_id": erased.account_id, "requester_id": erased.requester_id}
    tickets = (
        await session.scalars(select(Ticket).filter_by(**whose).order_by(Ticket.ticket_id).with_for_update())
    ).all()
    for ticket in tickets:
        ticket.snapshot = ticket_without_requester(ticket.snapshot)
    written = (
        await session.execute(delete(Message).filter_by(**whose).returning(Message.ticket_id, Message.attachments))
    ).all()
    written_in = [ticket_id for ticket_id, _ in written]
    files = [attachment.attachment_id for _, attachments in written for attachment in attachments]
    await let_go(files, session, now, account_id=erased.account_id)
    ticket_ids = {*(ticket.ticket_id for ticket in tickets), *written_in}
    revoked = await session.scalars(
        update(AccessLink)
        .where(
            AccessLink.account_id == erased.account_id,
            AccessLink.ticket_id.in_(ticket_ids),
            AccessLink.revoked_at.is_(None),
        )
        .values(revoked_at=now)
        .returning(AccessLink.digest)
    )
    put_aside = await session.scalars(
        delete(Quarantined)
        .where(Quarantined.account_id == erased.account_id, Quarantined.about.in_(ticket_ids))
        .returning(Quarantined.quarantine_id)
    )
    return {
        "tickets": len(tickets),
        "messages": len(written_in),
        "access_links": len(revoked.all()),
        "quarantined": len(put_aside.all()),
        "attached_files": len(files),
    }
