"""What surveys does when something happened elsewhere. Each function runs in one transaction, once for each event.

Topics give no order between each other, so all of these commute. What a ticket's events say of its resolutions is one
number, the highest version through which they are undone; every event can only raise it.
"""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import policy, queries
from services.surveys.erasure import erase, erasures
from services.surveys.link import SurveyLinks
from services.surveys.survey import Survey
from services.surveys.tables import Account, AnsweredTicket, OptOut, SkippedSurvey, Ticket
from shared.chassis.kafka import EventRouter
from shared.chassis.outbox import emit
from shared.chassis.telemetry import NOTES_DROPPED, count_when_committed
from shared.contracts import (
    AccountUpdated,
    NotificationFailed,
    ReplySent,
    RequesterErased,
    SurveySkipped,
    TicketReopened,
    TicketResolved,
    TicketUpdated,
)
from shared.contracts.survey import SkipReason
from shared.public_pages.branding import account_of, keep_account
from shared.public_pages.reader import storable_tag

events = EventRouter(amend=erasures.amend)


@events.on(AccountUpdated, awaited=True)
async def keep_policy(updated: AccountUpdated, session: AsyncSession, now: datetime) -> None:
    """Remember how an account looks, what it speaks and whom it asks."""
    await keep_account(
        Account,
        updated,
        session,
        now,
        locale=storable_tag(updated.locale),
        survey_policy=updated.survey_policy,
    )


@events.on(TicketResolved)
async def invite_requester(
    resolved: TicketResolved, session: AsyncSession, now: datetime, *, links: SurveyLinks
) -> None:
    """Ask the requester of a resolved ticket, now or when it is due, unless there is a reason not to."""
    account = await account_of(Account, resolved.account_id, session)
    ticket = resolved.ticket
    # A second resolution means that the first was undone, even where no event has said so yet.
    reopened_through = await _undo_resolutions(
        session, resolved.account_id, ticket.ticket_id, through=ticket.version - 1, now=now
    )
    resolution = (resolved.account_id, ticket.ticket_id, ticket.version)
    if await session.scalar(queries.survey_of(*resolution)) or await session.get(SkippedSurvey, resolution):
        return
    if reason := await _objection(resolved, account, session, now):
        _skip(resolved, reason, session, now)
        return
    survey = Survey.open(resolved, account, links, now)
    session.add(survey)
    emit(session, survey.created())
    if reopened_through >= ticket.version:
        # The news of the reopening was faster. The record says what became of the resolution; nobody is asked.
        emit(session, survey.expire("reopened", now))
    elif survey.due_at and survey.due_at <= now:
        emit(session, survey.ask(account, links, now))


@events.on(TicketReopened)
async def withdraw_survey(reopened: TicketReopened, session: AsyncSession, now: datetime) -> None:
    """Withdraw what was asked about a resolution that the requester has undone."""
    ticket = reopened.ticket
    await _undo_resolutions(session, reopened.account_id, ticket.ticket_id, through=ticket.version, now=now)


@events.on(TicketUpdated)
async def withdraw_survey_of_active_ticket(updated: TicketUpdated, session: AsyncSession, now: datetime) -> None:
    """Withdraw what was asked when the help desk opened the ticket again."""
    ticket = updated.ticket
    if ticket.status in {"open", "pending"}:
        await _undo_resolutions(session, updated.account_id, ticket.ticket_id, through=ticket.version - 1, now=now)


@events.on(ReplySent)
async def remember_that_an_agent_replied(sent: ReplySent, session: AsyncSession, now: datetime) -> None:
    """Remember of a public reply that there is one, and nothing it says. Everything else is an internal note."""
    if sent.visibility != "public":
        # Before anything can fail: a record that does not get through is kept among the dead letters, body and all.
        count_when_committed(NOTES_DROPPED, session)
        return
    await session.execute(
        insert(AnsweredTicket)
        .values(account_id=sent.account_id, ticket_id=sent.ticket.ticket_id)
        .on_conflict_do_nothing()
    )


@events.on(NotificationFailed)
async def close_survey_that_did_not_arrive(failed: NotificationFailed, session: AsyncSession, now: datetime) -> None:
    """Expire a survey whose invitation did not reach the requester: nobody was asked. An answered one stays."""
    if failed.kind != "survey_invited":
        return
    survey = await session.scalar(queries.survey_named(failed.account_id, failed.ticket_id, failed.subject_id))
    if survey and survey.state == "pending":
        emit(session, survey.expire("undeliverable", now))


@events.on(RequesterErased)
async def forget_requester(erased: RequesterErased, session: AsyncSession, now: datetime) -> None:
    """Let go of a requester: names, subjects, comments and links. Scores, dates and agents stay."""
    await erasures.carry_out(erased, session, now, erase)


async def _objection(
    resolved: TicketResolved, account: Account, session: AsyncSession, now: datetime
) -> SkipReason | None:
    if reason := policy.objection_for_good(account.survey_policy, resolved, now):
        return reason
    requester_id = resolved.ticket.requester.requester_id
    return "opted_out" if await session.get(OptOut, (resolved.account_id, requester_id)) else None


def _skip(resolved: TicketResolved, reason: SkipReason, session: AsyncSession, now: datetime) -> None:
    ticket = resolved.ticket
    session.add(
        SkippedSurvey(
            account_id=resolved.account_id,
            ticket_id=ticket.ticket_id,
            resolved_version=ticket.version,
            requester_id=ticket.requester.requester_id,
            resolved_at=resolved.resolved_at,
            reason=reason,
            skipped_at=now,
        )
    )
    emit(session, SurveySkipped(account_id=resolved.account_id, ticket=ticket, reason=reason, skipped_at=now))


async def _undo_resolutions(
    session: AsyncSession, account_id: str, ticket_id: str, *, through: int, now: datetime
) -> int:
    """Raise how far the ticket's resolutions are undone and expire what was asked about them.

    Locks the ticket's row until the commit, before anything is emitted about the ticket.
    """
    raise_to = insert(Ticket).values(account_id=account_id, ticket_id=ticket_id, reopened_through=through)
    reopened_through = await session.scalar(
        raise_to.on_conflict_do_update(
            index_elements=["account_id", "ticket_id"],
            set_={"reopened_through": func.greatest(Ticket.reopened_through, raise_to.excluded.reopened_through)},
        ).returning(Ticket.reopened_through)
    )
    assert reopened_through is not None
    for survey in await session.scalars(queries.undone_surveys(account_id, ticket_id, reopened_through)):
        emit(session, survey.expire("reopened", now))
    return reopened_through
