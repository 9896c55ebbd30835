"""What the portal does when something happened elsewhere. Each function runs in one transaction, once for each event.

Topics give no order between each other, so all of these commute: a ticket's newest version wins, and a message is
added once for its id. Each locks its ticket first, so nobody else adds to the same conversation meanwhile.
"""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.attached_files import expect
from services.portal.erasure import erase, erasures
from services.portal.link import TicketLinks
from services.portal.replies import take_reply
from services.portal.tables import Account
from services.portal.ticket import DESCRIPTION, Message, Ticket
from shared.chassis.dead_letters import Awaits
from shared.chassis.kafka import EventRouter
from shared.chassis.outbox import emit
from shared.chassis.telemetry import NOTES_DROPPED, count_when_committed
from shared.contracts import (
    AccountUpdated,
    ReplyPublished,
    ReplyReceived,
    ReplySent,
    RequesterErased,
    SurveyFollowUpRequested,
    TicketCreated,
    TicketResolved,
    TicketUpdated,
)
from shared.contracts.ticket import TicketEvent
from shared.public_pages.branding import account_of, keep_account
from shared.public_pages.reader import storable_tag

NEWS_FOR = timedelta(days=7)
"""An older reply is shown and not mailed: a new installation hears the help desk's whole history."""


class PassedOn(Exception):
    """A ticket belongs to another requester now, who must not read what this one wrote. For an operator to look at."""


events = EventRouter(amend=erasures.amend)


@events.on(AccountUpdated, awaited=True)
async def keep_brand(updated: AccountUpdated, session: AsyncSession, now: datetime) -> None:
    """Remember how an account looks and what it speaks."""
    await keep_account(Account, updated, session, now, locale=storable_tag(updated.locale))


@events.on(TicketCreated)
async def begin_conversation(
    created: TicketCreated, session: AsyncSession, now: datetime, *, links: TicketLinks
) -> None:
    """Show a new ticket, with what its requester wrote first."""
    ticket = await _ticket(created, session, now, links)
    if created.description.strip() or created.attachments:
        told = created.ticket
        message = ticket.was_asked(
            DESCRIPTION, created.description, told.requester, told.created_at, attachments=created.attachments
        )
        await _add(ticket, message, session)


@events.on(TicketUpdated)
async def keep_ticket(updated: TicketUpdated, session: AsyncSession, now: datetime, *, links: TicketLinks) -> None:
    """Remember what changed."""
    await _ticket(updated, session, now, links)


@events.on(TicketResolved, awaited=True)
async def show_resolution(
    resolved: TicketResolved, session: AsyncSession, now: datetime, *, links: TicketLinks
) -> None:
    """Say in the conversation that the ticket was resolved, and by whom."""
    ticket = await _ticket(resolved, session, now, links)
    if not resolved.ticket.requester.erased:
        await _add(ticket, ticket.was_resolved(resolved), session)


@events.on(ReplySent)
async def publish_reply(sent: ReplySent, session: AsyncSession, now: datetime, *, links: TicketLinks) -> None:
    """Show an agent's public reply and have it mailed, once for each reply. Everything else is an internal note."""
    if sent.visibility != "public":
        # Before anything can fail: a record that does not get through is kept among the dead letters, body and all.
        count_when_committed(NOTES_DROPPED, session)
        return
    ticket = await _ticket(sent, session, now, links)
    if sent.ticket.requester.erased:
        return
    message = ticket.was_told(sent)
    if not await _add(ticket, message, session):
        return
    if now - sent.sent_at >= NEWS_FOR:
        return
    (current, *_) = await session.scalars(queries.links_of(ticket.account_id, ticket.ticket_id))
    link = links.for_mail(current, ticket, now)
    session.add(link)
    emit(
        session,
        ReplyPublished(
            account_id=ticket.account_id,
            ticket=ticket.known,
            reply_id=sent.reply_id,
            author_name=message.author_name,
            body=message.body,
            link=links.url(link),
            published_at=sent.sent_at,
            attachments=message.attachments,
        ),
    )


@events.on(ReplyReceived)
async def show_reply_from_elsewhere(
    received: ReplyReceived, session: AsyncSession, now: datetime, *, links: TicketLinks
) -> None:
    """Show what the requester wrote by email or chat. What they wrote here comes back, too, and is there already."""
    ticket = await _ticket(received, session, now, links)
    requester = received.ticket.requester
    if requester.erased:
        return
    message = ticket.was_asked(
        received.reply_id, received.body, requester, received.received_at, attachments=received.attachments
    )
    await _add(ticket, message, session)


@events.on(SurveyFollowUpRequested)
async def take_follow_up(requested: SurveyFollowUpRequested, session: AsyncSession, now: datetime) -> None:
    """Take what the requester wrote after a survey as their reply: it opens the ticket again and is told, once."""
    if not requested.body:
        return  # of a requester who was erased
    ticket = await session.scalar(queries.ticket_of(requested.account_id, requested.survey.ticket_id))
    if ticket is None:
        raise Awaits(requested.key)  # the resolution that the survey was about is still on its way
    if await session.get(Message, (ticket.account_id, ticket.ticket_id, "requester", requested.follow_up_id)):
        return
    if requested.survey.requester_id not in {None, ticket.snapshot.requester.requester_id}:
        raise PassedOn("the survey was another requester's")
    if now - requested.requested_at >= NEWS_FOR:
        requester = ticket.snapshot.requester
        message = ticket.was_asked(requested.follow_up_id, requested.body, requester, requested.requested_at)
        await _add(ticket, message, session)
        return
    take_reply(ticket, requested.body, session, requested.requested_at, reply_id=requested.follow_up_id)
    await session.flush()


@events.on(RequesterErased)
async def forget_requester(erased: RequesterErased, session: AsyncSession, now: datetime) -> None:
    """Let go of a requester: their tickets' words, what they wrote and were written, and their links."""
    await erasures.carry_out(erased, session, now, partial(erase, now=now))


async def _ticket(event: TicketEvent, session: AsyncSession, now: datetime, links: TicketLinks) -> Ticket:
    """Get the event's ticket, locked until the commit, with the newest of what is known. Makes it when first seen."""
    await account_of(Account, event.account_id, session)
    told = event.ticket
    query = queries.ticket_of(event.account_id, told.ticket_id)
    ticket = await session.scalar(query)
    if ticket is None:
        first = await session.scalar(
            insert(Ticket)
            .values(
                account_id=event.account_id,
                ticket_id=told.ticket_id,
                version=told.version,
                snapshot=told,
                reopened_version=0,
            )
            # Another topic's event of the same ticket may be first at this very moment; this waits for its commit.
            .on_conflict_do_nothing()
            .returning(Ticket.ticket_id)
        )
        ticket = (await session.scalars(query)).one()
        # A ticket that was forgotten for its age has its newest link still, so that no revoked one is made again.
        if first and not await session.scalar(queries.links_of(event.account_id, told.ticket_id).limit(1)):
            link = links.first(ticket, now)
            if told.requester.erased:
                link.revoke(now)  # whoever has the ticket next gets a link of their own
            session.add(link)
    ticket.learn(told)
    return ticket


async def _add(ticket: Ticket, message: Message, session: AsyncSession) -> bool:
    """Put a message into its conversation. False when it is there already."""
    key = (message.account_id, message.ticket_id, message.kind, message.message_id)
    if await session.get(Message, key):
        return False
    session.add(message)
    ticket.revision += 1
    await session.flush()
    await expect(message.attachments, session, account_id=message.account_id, ticket_id=message.ticket_id)
    return True
