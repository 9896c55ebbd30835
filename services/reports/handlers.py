"""What reports does when something happened elsewhere. Each function runs in one transaction, once for each event.

Every survey event carries the whole survey, so whichever comes first makes the row and the others add what they know.
Where two say the same kind of thing, the earlier one stays, but for a reopening, which outranks every other end: any
order of a survey's events ends in the same row.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import rollup
from services.reports.erasure import erase, erasures
from services.reports.tables import Account, Rating, SkippedSurvey
from shared.chassis.kafka import EventRouter
from shared.contracts import (
    AccountUpdated,
    RequesterErased,
    Survey,
    SurveyCreated,
    SurveyExpired,
    SurveySkipped,
    SurveySubmitted,
)
from shared.public_pages.branding import account_of, keep_account

events = EventRouter(amend=erasures.amend)

_SURVEY = (
    "account_id",
    "survey_id",
    "ticket_id",
    "subject",
    "requester_name",
    "requester_id",
    "agent_id",
    "agent_name",
    "priority",
    "channel",
    "created_at",
    "created_day",
)
_ANSWER = ("score", "comment", "reason", "submitted_at", "submitted_day")
_EXPIRY = ("expired_reason", "expired_at")
_SKIP = ("account_id", "ticket_id", "resolved_version", "agent_id", "reason", "skipped_at", "skipped_day")

COUNT_SURVEY = rollup.counted(Rating, _SURVEY)
KEEP_RATING = rollup.counted(Rating, _SURVEY, additions=_ANSWER, first_by="{row}.submitted_at")
KEEP_EXPIRY = rollup.counted(
    Rating,
    _SURVEY,
    additions=_EXPIRY,
    # A reopening outranks that the invitation had not arrived: nobody rates a resolution that was undone.
    first_by="({row}.expired_reason <> 'reopened', {row}.expired_at)",
)
COUNT_SKIPPED_SURVEY = rollup.counted(SkippedSurvey, _SKIP)


@events.on(AccountUpdated, awaited=True)
async def keep_name_and_time_zone(updated: AccountUpdated, session: AsyncSession, now: datetime) -> None:
    """Remember how an account looks and which days it counts in."""
    await keep_account(Account, updated, session, now)


@events.on(SurveyCreated)
async def count_survey(created: SurveyCreated, session: AsyncSession, _: datetime) -> None:
    """Keep that somebody was asked."""
    account = await account_of(Account, created.account_id, session)
    await rollup.change(session, COUNT_SURVEY, _facts(created.survey, account))


@events.on(SurveySubmitted)
async def keep_rating(submitted: SurveySubmitted, session: AsyncSession, _: datetime) -> None:
    """Keep what the requester answered."""
    account = await account_of(Account, submitted.account_id, session)
    answer = {
        "score": submitted.score,
        "comment": submitted.comment,
        "reason": submitted.reason.code if submitted.reason else None,
        "submitted_at": submitted.submitted_at,
        "submitted_day": submitted.submitted_at.astimezone(account.zone).date(),
    }
    await rollup.change(session, KEEP_RATING, _facts(submitted.survey, account) | answer)


@events.on(SurveyExpired)
async def keep_expiry(expired: SurveyExpired, session: AsyncSession, _: datetime) -> None:
    """Keep that the survey can no longer be answered. One that was answered stays answered."""
    account = await account_of(Account, expired.account_id, session)
    expiry = {"expired_at": expired.expired_at, "expired_reason": expired.reason}
    await rollup.change(session, KEEP_EXPIRY, _facts(expired.survey, account) | expiry)


@events.on(SurveySkipped)
async def count_skipped_survey(skipped: SurveySkipped, session: AsyncSession, _: datetime) -> None:
    """Keep that nobody was asked, and why."""
    account = await account_of(Account, skipped.account_id, session)
    ticket = skipped.ticket
    agent = ticket.credited_agent  # whom the rating would have been about
    skip = {
        "account_id": skipped.account_id,
        "ticket_id": ticket.ticket_id,
        "resolved_version": ticket.version,
        "agent_id": agent.agent_id if agent else None,
        "reason": skipped.reason,
        "skipped_at": skipped.skipped_at,
        "skipped_day": skipped.skipped_at.astimezone(account.zone).date(),
    }
    await rollup.change(session, COUNT_SKIPPED_SURVEY, skip)


@events.on(RequesterErased)
async def forget_requester(erased: RequesterErased, session: AsyncSession, now: datetime) -> None:
    """Let go of a requester: names, subjects and comments. Scores, dates and agents stay, so no figure moves."""
    await erasures.carry_out(erased, session, now, erase)


def _facts(survey: Survey, account: Account) -> dict[str, Any]:
    """List what every event of a survey knows."""
    return {
        "account_id": account.account_id,
        "survey_id": survey.survey_id,
        "ticket_id": survey.ticket_id,
        "subject": survey.subject,
        "requester_name": survey.requester_name,
        "requester_id": survey.requester_id,
        "agent_id": survey.agent.agent_id if survey.agent else None,
        "agent_name": survey.agent.name if survey.agent else None,
        "priority": survey.priority,
        "channel": survey.channel,
        "created_at": survey.created_at,
        "created_day": survey.created_at.astimezone(account.zone).date(),
    }
