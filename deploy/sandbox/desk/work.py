"""What agents do with tickets. Each change counts the ticket's version up and publishes the whole ticket."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from deploy.sandbox.desk import mailbox
from deploy.sandbox.desk.tables import DeskTicket, Message, Rating
from shared.chassis.outbox import emit
from shared.contracts import (
    Agent,
    Attachment,
    ReplyReceived,
    ReplySent,
    Requester,
    RequesterErased,
    Ticket,
    TicketCreated,
    TicketResolved,
    TicketUpdated,
)
from shared.contracts.ticket import Priority, Status
from shared.public_pages.erasure import ticket_without_requester

REOPENABLE = ("pending", "resolved")
SOLVABLE = ("open", "pending")


async def ticket_numbered(number: int, session: AsyncSession) -> DeskTicket | None:
    """Get a ticket and lock it, so that its events leave in the order of its versions."""
    return await session.scalar(select(DeskTicket).filter_by(number=number).with_for_update())


async def create_ticket(
    session: AsyncSession,
    now: datetime,
    *,
    account_id: str,
    subject: str,
    description: str,
    requester: Requester,
    assignee: Agent | None,
    watchers: tuple[Agent, ...] = (),
    priority: Priority = "normal",
    channel: str = "email",
) -> DeskTicket:
    """Open a ticket for somebody."""
    snapshot = Ticket(
        ticket_id="new",
        version=1,
        subject=subject,
        status="open",
        requester=requester,
        created_at=now,
        priority=priority,
        channel=channel,
        assignee=assignee,
        watchers=watchers,
    )
    ticket = DeskTicket(account_id=account_id, snapshot=snapshot, changed_at=now)
    session.add(ticket)
    await session.flush()  # the database gives the number
    ticket.snapshot = replace(snapshot, ticket_id=str(ticket.number))
    emit(session, TicketCreated(account_id=account_id, ticket=ticket.snapshot, description=description))
    if description:
        session.add(Message.of(ticket.number, "requester", requester.name, description, now))
    return ticket


def reply(
    ticket: DeskTicket,
    author: Agent,
    body: str,
    session: AsyncSession,
    now: datetime,
    *,
    attachments: tuple[Attachment, ...] = (),
) -> None:
    """Answer the requester, with files whose bytes the portal has."""
    _say(ticket, author, body, session, now, visibility="public", attachments=attachments)


def write_note(ticket: DeskTicket, author: Agent, body: str, session: AsyncSession, now: datetime) -> None:
    """Write something that the requester must never see."""
    _say(ticket, author, body, session, now, visibility="internal")


def set_status(ticket: DeskTicket, status: Status, by: Agent, session: AsyncSession, now: datetime) -> None:
    """Move a ticket; resolving it is an event of its own besides the update."""
    before = ticket.snapshot.status
    _update(ticket, session, now, status=status)
    session.add(Message.of(ticket.number, "system", by.name, f"{before} → {status}", now))
    if status == "resolved":
        emit(
            session,
            TicketResolved(account_id=ticket.account_id, ticket=ticket.snapshot, resolved_at=now, resolved_by=by),
        )


def receive_email(ticket: DeskTicket, body: str, session: AsyncSession, now: datetime) -> None:
    """Take the requester's answer by another channel than the portal; the desk itself then reopens the ticket."""
    message = Message.of(ticket.number, "requester", ticket.snapshot.requester.name, body, now)
    session.add(message)
    if ticket.snapshot.status in REOPENABLE:
        reopen(ticket, session, now)
    emit(
        session,
        ReplyReceived(
            account_id=ticket.account_id,
            ticket=ticket.snapshot,
            reply_id=message.message_id,
            body=body,
            received_at=now,
            via="email",
        ),
    )


def reopen(ticket: DeskTicket, session: AsyncSession, now: datetime) -> None:
    """Set a ticket open because its requester answered."""
    before = ticket.snapshot.status
    _update(ticket, session, now, status="open")
    session.add(
        Message.of(ticket.number, "system", ticket.snapshot.requester.name, f"{before} → open, by a reply", now)
    )


def resolve(ticket: DeskTicket, session: AsyncSession, now: datetime) -> None:
    """Set a ticket resolved because its requester says that it is solved; nobody of ours did it."""
    _update(ticket, session, now, status="resolved")
    emit(session, TicketResolved(account_id=ticket.account_id, ticket=ticket.snapshot, resolved_at=now))


def tickets_of(account_id: str, requester_id: str) -> Select[DeskTicket]:
    """Find a requester's tickets, locked."""
    requester = func.jsonb_extract_path_text(DeskTicket.snapshot, "requester", "requester_id")
    return (
        select(DeskTicket)
        .where(DeskTicket.account_id == account_id, requester == requester_id)
        .order_by(DeskTicket.number)
        .with_for_update()
    )


async def erase_requester(account_id: str, requester: Requester, session: AsyncSession, now: datetime) -> None:
    """Forget a requester, and have every service do so. Their tickets stay, without words, for the figures."""
    tickets = (await session.scalars(tickets_of(account_id, requester.requester_id))).all()
    numbers = [ticket.number for ticket in tickets]
    for letter in await mailbox.newest_letters(session):
        about = any(ticket.snapshot.subject and ticket.snapshot.subject in letter.subject for ticket in tickets)
        if about or letter.mail.recipient.lower() == (requester.email or "").lower():
            await session.delete(letter.mail)
    await session.execute(delete(Message).where(Message.number.in_(numbers)))
    await session.execute(update(Rating).where(Rating.number.in_(numbers)).values(comment=""))
    for ticket in tickets:
        _update(ticket, session, now, **_nobodys(ticket))
        session.add(Message.of(ticket.number, "system", "The requester", "asked to be forgotten", now))
    emit(
        session,
        RequesterErased(
            account_id=account_id,
            requester_id=requester.requester_id,
            request_id=str(uuid7()),
            erased_at=now,
            ticket_ids=tuple(str(number) for number in numbers),
        ),
    )


def _nobodys(ticket: DeskTicket) -> dict[str, Any]:
    left = ticket_without_requester(ticket.snapshot)
    return {"subject": left.subject, "requester": left.requester}


def _say(
    ticket: DeskTicket,
    author: Agent,
    body: str,
    session: AsyncSession,
    now: datetime,
    *,
    visibility: Any,
    attachments: tuple[Attachment, ...] = (),
) -> None:
    public = visibility == "public"
    _update(ticket, session, now, **({"last_replier": author} if public else {}))
    reply_id = str(uuid7())
    kind = "agent" if public else "note"
    session.add(Message.of(ticket.number, kind, author.name, body, now, id=reply_id, attachments=attachments))
    emit(
        session,
        ReplySent(
            account_id=ticket.account_id,
            ticket=ticket.snapshot,
            reply_id=reply_id,
            author=author,
            body=body,
            sent_at=now,
            visibility=visibility,
            attachments=attachments,
        ),
    )


def _update(ticket: DeskTicket, session: AsyncSession, now: datetime, **changes: Any) -> None:
    ticket.snapshot = replace(ticket.snapshot, version=ticket.snapshot.version + 1, **changes)
    ticket.changed_at = now
    emit(session, TicketUpdated(account_id=ticket.account_id, ticket=ticket.snapshot))
