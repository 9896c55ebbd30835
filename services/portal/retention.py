"""How long the portal keeps what: tickets that are over, links that were replaced."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, and_, delete, exists, func, not_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.portal.attached_files import let_go
from services.portal.link import AccessLink
from services.portal.settings import Settings
from services.portal.tables import Quarantined
from services.portal.ticket import Message, Ticket
from shared.chassis.retention import Period, dead_letters, deleting

REPLACED_LINK_DAYS = 30

_newer = aliased(AccessLink)
_IS_REPLACED = exists().where(
    _newer.account_id == AccessLink.account_id,
    _newer.ticket_id == AccessLink.ticket_id,
    _newer.generation > AccessLink.generation,
)


def periods(settings: Settings) -> Sequence[Period]:
    """Say how long each is kept."""
    return (
        Period(
            what="resolved and closed tickets, with their messages",
            days=settings.ticket_days,
            setting="TICKET_DAYS",
            drop=_drop_tickets,
        ),
        Period(
            what="links that were replaced",
            days=REPLACED_LINK_DAYS,
            setting=None,
            # Of each ticket the newest stays, a digest: made anew, a revoked one would open again.
            drop=deleting(AccessLink, AccessLink.expires_at, _IS_REPLACED),
        ),
        dead_letters(settings),
    )


async def _drop_tickets(session: AsyncSession, before: datetime, limit: int) -> int:
    """Delete tickets that are over and in which nothing happened since: nothing was said and no link was open."""
    same_ticket = {
        table: and_(table.account_id == Ticket.account_id, table.ticket_id == Ticket.ticket_id)
        for table in (Message, AccessLink)
    }
    is_over = func.jsonb_extract_path_text(Ticket.snapshot, "status", type_=String).in_(["resolved", "closed"])
    tickets = (
        await session.scalars(
            select(Ticket)
            .where(
                is_over,
                not_(exists().where(same_ticket[Message], Message.sent_at >= before)),
                not_(exists().where(same_ticket[AccessLink], AccessLink.expires_at >= before)),
            )
            .limit(limit)
            .with_for_update(skip_locked=True, of=Ticket)
        )
    ).all()
    if not tickets:
        return 0
    keys = [(ticket.account_id, ticket.ticket_id) for ticket in tickets]
    files = await session.execute(
        delete(Message)
        .where(tuple_(Message.account_id, Message.ticket_id).in_(keys))
        .returning(Message.account_id, Message.attachments)
    )
    for account_id, attachments in files.all():
        await let_go([each.attachment_id for each in attachments], session, before, account_id=account_id)
    for table, about in ((Quarantined, Quarantined.about), (Ticket, Ticket.ticket_id)):
        await session.execute(delete(table).where(tuple_(table.account_id, about).in_(keys)))
    return len(tickets)
