"""What surveys does when something happened elsewhere. Each function runs in one transaction, once for each event.

Topics give no order between each other, so all of these commute. What a ticket's events say of its resolutions is one
number, the highest version through which they are undone; every event can only raise it.
"""

from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import queries
from services.surveys.erasure import erase, erasures
from services.surveys.survey import Survey
from services.surveys.tables import Account, SkippedSurvey, Ticket
from shared.chassis.kafka import EventRouter
from shared.chassis.outbox import emit
from shared.contracts import (
    AccountUpdated,
    NotificationFailed,
    RequesterErased,
    SurveySkipped,
    TicketReopened,
    TicketResolved,
    TicketUpdated,
)
from shared.public_pages.access_links import AccessLinks
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
        surveys_enabled=updated.survey_policy.enabled,
        survey_expires_after_days=updated.survey_policy.expires_after_days,
    )


@events.on(TicketResolved)
async def invite_requester(
    resolved: TicketResolved, session: AsyncSession, now: datetime, *, links: AccessLinks
) -> None:
    """Ask the requester of a resolved ticket, unless there is a reason not to."""
    account = await account_of(Account, resolved.account_id, session)
    ticket = resolved.ticket
    # A second resolution means that the first was undone, even where no event has said so yet.
    reopened_through = await _undo_resolutions(
        session, resolved.account_id, ticket.ticket_id, through=ticket.version - 1, now=now
    )
    resolution = (resolved.account_id, ticket.ticket_id, ticket.version)
    if await session.scalar(queries.survey_of(*resolution)) or await session.get(SkippedSurvey, resolution):
        return
    if reason := _objection(resolved, account, now):
        _skip(resolved, reason, session, now)
        return
    survey = Survey.open(resolved, account, links, now)
    session.add(survey)
    emit(session, survey.created())
    if reopened_through >= ticket.version:
        # The news of the reopening was faster. The record says what became of the resolution; nobody is asked.
        emit(session, survey.expire("reopened", now))
    else:
        emit(session, survey.invited(ticket, links))


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


def _objection(resolved: TicketResolved, account: Account, now: datetime) -> str | None:
    if not account.surveys_enabled:
        return "disabled"
    # A new installation hears the help desk's whole history; nobody wants to be asked about last year.
    if now - resolved.resolved_at >= timedelta(days=account.survey_expires_after_days):
        return "too_old"
    if not resolved.ticket.requester.email:
        return "no_address"
    return None


def _skip(resolved: TicketResolved, reason, session: AsyncSession, now: datetime) -> None:
    ticket = resolved.ticket
    session.add(
        SkippedSurvey(
            account_id=resolved.account_id,
            ticket_id=ticket.ticket_id,
            resolved_version=ticket.version,
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
