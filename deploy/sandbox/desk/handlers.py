"""What the help desk does with what closeloop tells it: replies, reopenings, solutions, ratings, lost emails.

A reopening and a solution may arrive in any order. Each is written down with its time, and the later one holds.
"""

from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk import work
from deploy.sandbox.desk.tables import DeskTicket, Message, Rating
from shared.chassis.kafka import EventRouter
from shared.contracts import (
    NotificationFailed,
    ReplyReceived,
    RequesterForgotten,
    SurveySubmitted,
    TicketReopened,
    TicketSolved,
)

LETTERS = {
    "reply_published": "The reply was not delivered to the requester",
    "link_renewed": "The fresh link was not delivered to the requester",
    "survey_invited": "The survey was not delivered to the requester",
    "survey_reminded": "The survey's reminder was not delivered to the requester",
    "reply_received": "The requester's reply was not delivered to its agent",
    "ticket_reopened": "The reopening was not delivered to an agent",
    "survey_submitted": "The low rating was not delivered to an agent",
    "ticket_solved": "That the ticket is solved was not delivered to its agent",
}
REASONS = {
    "bounced": "the mail server refused it",
    "suppressed": "the address does not exist",
    "unwritable": "there is no valid address",
    "gave_up": "it could not be delivered in time",
}

SOLVED = "solved/"
"""Before the message id of a solution."""

events = EventRouter()


@events.on(ReplyReceived)
async def show_reply(received: ReplyReceived, session: AsyncSession, now: datetime) -> None:
    """Add what the requester wrote on the portal. Replies that the desk took by email are there already."""
    number = await _number(received.account_id, received.ticket.ticket_id, session)
    if number is None:
        return
    name = received.ticket.requester.name
    message = Message.of(
        number,
        "requester",
        name,
        received.body,
        received.received_at,
        id=received.reply_id,
        attachments=received.attachments,
    )
    await _note(message, session)
    if received.attachments:  # `ticket.reopened` tells of the same reply, without them, and may have been first
        await session.execute(
            update(Message).filter_by(message_id=received.reply_id).values(attachments=received.attachments)
        )


@events.on(TicketReopened)
async def reopen_ticket(reopened: TicketReopened, session: AsyncSession, now: datetime) -> None:
    """Set the ticket open and answer with the next version."""
    number = await _number(reopened.account_id, reopened.ticket.ticket_id, session)
    ticket = await work.ticket_numbered(number, session) if number else None
    if number is None or ticket is None:
        return
    name = reopened.ticket.requester.name
    message = Message.of(number, "requester", name, reopened.body, reopened.reopened_at, id=reopened.reply_id)
    await _note(message, session)
    later = await session.scalar(_said_after(reopened.reopened_at, number).where(Message.message_id.startswith(SOLVED)))
    if not later and ticket.snapshot.status in work.REOPENABLE:
        work.reopen(ticket, session, now)


@events.on(TicketSolved)
async def resolve_ticket(solved: TicketSolved, session: AsyncSession, now: datetime) -> None:
    """Resolve what its requester says is solved; the survey follows. A reply that came after it stands against it."""
    number = await _number(solved.account_id, solved.ticket.ticket_id, session)
    ticket = await work.ticket_numbered(number, session) if number else None
    if number is None or ticket is None:
        return
    name = solved.ticket.requester.name
    message_id = f"{SOLVED}{solved.solved_id}"
    await _note(Message.of(number, "system", name, "says that it is solved", solved.solved_at, id=message_id), session)
    later = await session.scalar(_said_after(solved.solved_at, number).where(Message.kind == "requester"))
    if not later and ticket.snapshot.status in work.SOLVABLE:
        work.resolve(ticket, session, now)


@events.on(SurveySubmitted)
async def show_rating(submitted: SurveySubmitted, session: AsyncSession, now: datetime) -> None:
    """Put the rating beside its ticket."""
    number = await _number(submitted.account_id, submitted.survey.ticket_id, session)
    if number is None:
        return
    await session.execute(
        insert(Rating)
        .values(
            survey_id=submitted.survey.survey_id,
            number=number,
            score=submitted.score,
            comment=submitted.comment,
            reason=submitted.reason.text if submitted.reason else "",
            submitted_at=submitted.submitted_at,
        )
        .on_conflict_do_nothing()
    )


@events.on(NotificationFailed)
async def show_what_did_not_arrive(failed: NotificationFailed, session: AsyncSession, now: datetime) -> None:
    """Tell the agents that somebody does not know."""
    number = await _number(failed.account_id, failed.ticket_id, session)
    if number is None:
        return
    body = f"{LETTERS[failed.kind]}: {REASONS[failed.reason]}"
    await _note(Message.of(number, "system", "Email", body, failed.failed_at, id=failed.notification_id), session)


@events.on(RequesterForgotten)
async def show_who_has_forgotten(forgotten: RequesterForgotten, session: AsyncSession, now: datetime) -> None:
    """Tell on the requester's tickets which service has let go of them, and of how much."""
    for ticket in await session.scalars(work.tickets_of(forgotten.account_id, forgotten.requester_id)):
        body = f"has forgotten the requester: {sum(forgotten.rows.values())} rows"
        id_ = f"{forgotten.request_id}/{forgotten.service}/{ticket.number}"
        message = Message.of(
            ticket.number, "system", forgotten.service.capitalize(), body, forgotten.forgotten_at, id=id_
        )
        await _note(message, session)


async def _note(message: Message, session: AsyncSession) -> None:
    """Write down once what was said or done."""
    columns = {column.key: getattr(message, column.key) for column in Message.__table__.columns}
    await session.execute(insert(Message).values(columns).on_conflict_do_nothing())


def _said_after(moment: datetime, number: int) -> Select[str]:
    return select(Message.message_id).where(Message.number == number, Message.sent_at > moment).limit(1)


async def _number(account_id: str, ticket_id: str, session: AsyncSession) -> int | None:
    """Find the number of a ticket of ours; on a shared broker there may be other help desks'."""
    if not ticket_id.isdecimal() or len(ticket_id) > 15:
        return None
    return await session.scalar(select(DeskTicket.number).filter_by(number=int(ticket_id), account_id=account_id))
