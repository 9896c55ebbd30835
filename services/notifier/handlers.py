"""What the notifier does when something happened elsewhere: it queues emails. Sending them is dispatch.py's.

Each function runs in one transaction, once for each event. An email is named by its event and its recipient, so all
of these commute and a repeat adds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.notifier.emails import Email, Facts, gives_up_at
from services.notifier.erasure import erase, erasures
from services.notifier.tables import Account
from shared.chassis import tracing
from shared.chassis.kafka import EventRouter
from shared.contracts import (
    AccountUpdated,
    Agent,
    Attachment,
    LinkRenewed,
    ReplyPublished,
    ReplyReceived,
    Requester,
    RequesterErased,
    SurveyInvited,
    SurveyReminded,
    SurveySubmitted,
    TicketReopened,
    TicketSolved,
)
from shared.contracts.notification import Kind
from shared.contracts.survey import SurveyEvent
from shared.contracts.ticket import TicketEvent
from shared.public_pages.branding import account_of, keep_account
from shared.public_pages.reader import storable_tag

MAX_TEXT_LENGTH = 20_000
"""Characters of a reply that an email repeats; mail programs cut off what is much longer."""

LOW = 2
"""Stars. A rating of so many or fewer is told to who can do something about it."""

NEWS_FOR = timedelta(days=7)
"""Agents are not told of what is older: emails are not kept for ever, and history may be heard again."""

events = EventRouter(amend=erasures.amend)


@events.on(AccountUpdated, awaited=True)
async def keep_brand(updated: AccountUpdated, session: AsyncSession, now: datetime) -> None:
    """Remember how an account looks, what it speaks and says in its surveys, and who leads it."""
    await keep_account(
        Account,
        updated,
        session,
        now,
        locale=storable_tag(updated.locale),
        survey_wording=updated.survey_policy.wording,
        lead=updated.lead,
    )


@events.on(ReplyPublished)
async def tell_requester_of_reply(published: ReplyPublished, session: AsyncSession, now: datetime) -> None:
    """Send the requester what an agent wrote, with the link to the ticket."""
    facts = _facts(
        published,
        author=published.author_name,
        text=published.body,
        files=_names(published.attachments),
        link=published.link,
        locale=_locale_of_requester(published),
    )
    letters = _Letters("reply_published", published.reply_id, [published.ticket.requester], facts)
    await _queue(letters, published, session, now)


@events.on(LinkRenewed)
async def send_fresh_link(renewed: LinkRenewed, session: AsyncSession, now: datetime) -> None:
    """Send the requester the link that was asked for, whoever asked."""
    facts = _facts(renewed, link=renewed.link, locale=_locale_of_requester(renewed))
    letters = _Letters("link_renewed", renewed.renewal_id, [renewed.ticket.requester], facts)
    await _queue(letters, renewed, session, now)


@events.on(SurveyInvited)
async def ask_requester(invited: SurveyInvited, session: AsyncSession, now: datetime) -> None:
    """Ask the requester how they were helped."""
    letters = _Letters("survey_invited", invited.survey_id, [invited.ticket.requester], _question(invited))
    await _queue(letters, invited, session, now)


@events.on(SurveyReminded)
async def remind_requester(reminded: SurveyReminded, session: AsyncSession, now: datetime) -> None:
    """Ask the requester once more."""
    letters = _Letters("survey_reminded", reminded.survey_id, [reminded.ticket.requester], _question(reminded))
    await _queue(letters, reminded, session, now)


@events.on(SurveySubmitted)
async def tell_of_low_rating(submitted: SurveySubmitted, session: AsyncSession, now: datetime) -> None:
    """Tell the agent it is about, and who leads the account, that a requester is unhappy: while it is news."""
    if submitted.score > LOW or now - submitted.submitted_at >= NEWS_FOR:
        return
    account = await account_of(Account, submitted.account_id, session)
    survey = submitted.survey
    facts = _clipped(
        survey.ticket_id,
        survey.subject,
        author=survey.requester_name,
        text=submitted.comment,
        score=submitted.score,
        reason=_storable(submitted.reason.text) if submitted.reason else "",
    )
    letters = _Letters("survey_submitted", survey.survey_id, [survey.agent, account.lead], facts)
    await _queue(letters, submitted, session, now)


@events.on(ReplyReceived)
async def tell_assignee_of_reply(received: ReplyReceived, session: AsyncSession, now: datetime) -> None:
    """Tell the assignee that the requester wrote. When that reopened the ticket, ticket.reopened tells instead."""
    ticket = received.ticket
    if now - received.received_at >= NEWS_FOR:
        return
    facts = _facts(received, author=ticket.requester.name, text=received.body, files=_names(received.attachments))
    told = [] if received.reopened else [ticket.assignee]
    await _queue(_Letters("reply_received", received.reply_id, told, facts), received, session, now)


@events.on(TicketReopened)
async def tell_agents_of_reopening(reopened: TicketReopened, session: AsyncSession, now: datetime) -> None:
    """Tell assignee and watchers that the requester is not done."""
    ticket = reopened.ticket
    if now - reopened.reopened_at >= NEWS_FOR:
        return
    facts = _facts(reopened, author=ticket.requester.name, text=reopened.body, previous_status=reopened.previous_status)
    told = [ticket.assignee, *ticket.watchers]
    await _queue(_Letters("ticket_reopened", reopened.reply_id, told, facts), reopened, session, now)


@events.on(TicketSolved)
async def tell_assignee_of_solution(solved: TicketSolved, session: AsyncSession, now: datetime) -> None:
    """Tell the assignee that the requester needs no more help."""
    ticket = solved.ticket
    facts = _facts(solved, author=ticket.requester.name, previous_status=solved.previous_status)
    await _queue(_Letters("ticket_solved", solved.solved_id, [ticket.assignee], facts), solved, session, now)


@events.on(RequesterErased)
async def forget_requester(erased: RequesterErased, session: AsyncSession, now: datetime) -> None:
    """Let go of a requester: every email to or about them, and their addresses that are not written to."""
    await erasures.carry_out(erased, session, now, erase)


@dataclass(frozen=True, slots=True)
class _Letters:
    """The same letter to some people, about what `subject_id` names."""

    kind: Kind
    subject_id: str
    people: Sequence[Requester | Agent | None]
    facts: Facts


def _question(event: SurveyInvited | SurveyReminded) -> Facts:
    return _facts(
        event,
        link=event.link,
        opt_out_link=event.opt_out_link,
        expires_at=event.expires_at,
        locale=_locale_of_requester(event),
    )


def _names(attachments: Sequence[Attachment]) -> tuple[str, ...]:
    return tuple(attachment.name for attachment in attachments)


def _facts(event: TicketEvent, **more: Any) -> Facts:
    return _clipped(event.ticket.ticket_id, event.ticket.subject, **more)


def _clipped(ticket_id: str, subject: str, *, author: str = "", text: str = "", **more: Any) -> Facts:
    if len(text) > MAX_TEXT_LENGTH:
        text = text[:MAX_TEXT_LENGTH] + "…"
    return Facts(
        ticket_id=ticket_id,
        subject=_storable(subject),
        author=_storable(author),
        text=_storable(text),
        **more,
    )


def _locale_of_requester(event: TicketEvent) -> str | None:
    return storable_tag(event.ticket.requester.locale)


def _storable(text: str) -> str:
    """PostgreSQL takes every character but NUL."""
    return text.replace("\0", "")


async def _queue(letters: _Letters, event: TicketEvent | SurveyEvent, session: AsyncSession, now: datetime) -> None:
    """Queue one email for each address: who was told, or is named twice, meets the unique index. Raises Awaits.

    Of a requester who was erased there is nothing to tell.
    """
    if isinstance(event, TicketEvent) and event.ticket.requester.erased:
        return
    requester_id = event.ticket.requester.requester_id if isinstance(event, TicketEvent) else event.survey.requester_id
    await account_of(Account, event.account_id, session)
    told = [
        (address, person) for person in letters.people if person and (address := _storable(person.email or "").strip())
    ]
    if not told:
        return
    await session.execute(
        insert(Email)
        .values(
            [
                {
                    "id": uuid7(),
                    "account_id": event.account_id,
                    "kind": letters.kind,
                    "subject_id": letters.subject_id,
                    "recipient": address,
                    "recipient_name": _storable(person.name),
                    "thread": event.key,
                    "facts": letters.facts,
                    "state": "queued",
                    "attempts": 0,
                    "due_at": now,
                    "give_up_at": gives_up_at(now, letters.facts.expires_at),
                    "traceparent": tracing.traceparent(),
                    "created_at": now,
                    "requester_id": requester_id,
                }
                for address, person in told
            ]
        )
        .on_conflict_do_nothing()
    )
