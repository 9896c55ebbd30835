"""What the help desk does with what closeloop tells it: replies, reopenings, ratings, emails that do not arrive."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk import work
from deploy.sandbox.desk.tables import DeskTicket, Message, Rating
from shared.chassis.kafka import EventRouter
from shared.contracts import NotificationFailed, ReplyReceived, SurveySubmitted, TicketReopened

LETTERS = {
    "reply_published": "The reply was not delivered to the requester",
    "survey_invited": "The survey was not delivered to the requester",
    "survey_reminded": "The survey's reminder was not delivered to the requester",
    "reply_received": "The requester's reply was not delivered to its agent",
    "ticket_reopened": "The reopening was not delivered to an agent",
    "survey_submitted": "The low rating was not delivered to an agent",
}
REASONS = {
    "bounced": "the mail server refused it",
    "suppressed": "the address does not exist",
    "unwritable": "there is no valid address",
    "gave_up": "it could not be delivered in time",
}

events = EventRouter()


@events.on(ReplyReceived)
async def show_reply(received: ReplyReceived, session: AsyncSession, now: datetime) -> None:
    """Add what the requester wrote on the portal. Replies that the desk took by email are there already."""
    number = await _number(received.account_id, received.ticket.ticket_id, session)
    if number is None:
        return
    await session.execute(
        insert(Message)
        .values(
            message_id=received.reply_id,
            number=number,
            kind="requester",
            author=received.ticket.requester.name,
            body=received.body,
            sent_at=received.received_at,
        )
        .on_conflict_do_nothing()
    )


@events.on(TicketReopened)
async def reopen_ticket(reopened: TicketReopened, session: AsyncSession, now: datetime) -> None:
    """Set the ticket open and answer with the next version."""
    number = await _number(reopened.account_id, reopened.ticket.ticket_id, session)
    ticket = await work.ticket_numbered(number, session) if number else None
    if ticket and ticket.snapshot.status in work.REOPENABLE:
        work.reopen(ticket, session, now)


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
    await session.execute(
        insert(Message)
        .values(
            message_id=failed.notification_id,
            number=number,
            kind="system",
            author="Email",
            body=f"{LETTERS[failed.kind]}: {REASONS[failed.reason]}",
            sent_at=failed.failed_at,
        )
        .on_conflict_do_nothing()
    )


async def _number(account_id: str, ticket_id: str, session: AsyncSession) -> int | None:
    """Find the number of a ticket of ours; on a shared broker there may be other help desks'."""
    if not ticket_id.isdecimal() or len(ticket_id) > 15:
        return None
    return await session.scalar(select(DeskTicket.number).filter_by(number=int(ticket_id), account_id=account_id))
