"""What reports does when something happened elsewhere. Each function runs in one transaction, once for each event.

Of surveys each hears many events at once, and keeps them by one statement.

Every survey event carries the whole survey, so whichever comes first makes the row and the others add what they know.
Where two say the same kind of thing, the earlier one stays, but for a reopening, which outranks every other end: any
order of a survey's events ends in the same row.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Text, any_, cast, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports import rollup
from services.reports.erasure import erase, erasures
from services.reports.tables import Account, Rating, SkippedSurvey
from shared.chassis.dead_letters import Awaits
from shared.chassis.kafka import EventRouter
from shared.contracts import (
    AccountUpdated,
    Agent,
    Event,
    RequesterErased,
    SurveyCreated,
    SurveyExpired,
    SurveySkipped,
    SurveySubmitted,
)
from shared.contracts.event import MAX_ID_LENGTH
from shared.contracts.survey import SurveyEvent
from shared.public_pages.branding import keep_account

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
    "assignee_id",
    "assignee_name",
    "last_replier_id",
    "last_replier_name",
    "priority",
    "channel",
    "created_at",
    "created_day",
)
_ANSWER = ("score", "comment", "reason", "submitted_at", "submitted_day")
_EXPIRY = ("expired_reason", "expired_at")
_SKIP = (
    "account_id",
    "ticket_id",
    "resolved_version",
    "agent_id",
    "assignee_id",
    "last_replier_id",
    "priority",
    "channel",
    "reason",
    "skipped_at",
    "skipped_day",
)

COUNT_SURVEYS = rollup.counted(Rating, _SURVEY)
KEEP_RATINGS = rollup.counted(Rating, _SURVEY, additions=_ANSWER, first_by="{row}.submitted_at")
KEEP_EXPIRIES = rollup.counted(
    Rating,
    _SURVEY,
    additions=_EXPIRY,
    # A reopening outranks that the invitation had not arrived: nobody rates a resolution that was undone.
    first_by="({row}.expired_reason <> 'reopened', {row}.expired_at)",
)
COUNT_SKIPPED_SURVEYS = rollup.counted(SkippedSurvey, _SKIP)


@events.on(AccountUpdated, awaited=True)
async def keep_name_and_time_zone(updated: AccountUpdated, session: AsyncSession, now: datetime) -> None:
    """Remember how an account looks and which days it counts in."""
    await keep_account(Account, updated, session, now)


@events.on_batch(SurveyCreated)
async def count_surveys(created: Sequence[SurveyCreated], session: AsyncSession, _: datetime) -> None:
    """Keep that somebody was asked."""
    zones = await _zones(created, session)
    await rollup.change(session, COUNT_SURVEYS, [_facts(each, zones) for each in created])


@events.on_batch(SurveySubmitted)
async def keep_ratings(submitted: Sequence[SurveySubmitted], session: AsyncSession, _: datetime) -> None:
    """Keep what requesters answered."""
    zones = await _zones(submitted, session)
    rows = [
        _facts(each, zones)
        | {
            "score": each.score,
            "comment": each.comment,
            "reason": each.reason.code if each.reason else None,
            "submitted_at": each.submitted_at,
            "submitted_day": each.submitted_at.astimezone(zones[each.account_id]).date(),
        }
        for each in submitted
    ]
    await rollup.change(session, KEEP_RATINGS, rows)


@events.on_batch(SurveyExpired)
async def keep_expiries(expired: Sequence[SurveyExpired], session: AsyncSession, _: datetime) -> None:
    """Keep that surveys can no longer be answered. One that was answered stays answered."""
    zones = await _zones(expired, session)
    rows = [_facts(each, zones) | {"expired_at": each.expired_at, "expired_reason": each.reason} for each in expired]
    await rollup.change(session, KEEP_EXPIRIES, rows)


@events.on_batch(SurveySkipped)
async def count_skipped_surveys(skipped: Sequence[SurveySkipped], session: AsyncSession, _: datetime) -> None:
    """Keep that nobody was asked, and why."""
    zones = await _zones(skipped, session)
    rows = [
        {
            "account_id": each.account_id,
            "ticket_id": each.ticket.ticket_id,
            "resolved_version": each.ticket.version,
            "agent_id": _id(each.ticket.credited_agent),  # whom the rating would have been about
            "assignee_id": _id(each.ticket.assignee),
            "last_replier_id": _id(each.ticket.last_replier),
            "priority": each.ticket.priority,
            "channel": each.ticket.channel[:MAX_ID_LENGTH],
            "reason": each.reason,
            "skipped_at": each.skipped_at,
            "skipped_day": each.skipped_at.astimezone(zones[each.account_id]).date(),
        }
        for each in skipped
    ]
    await rollup.change(session, COUNT_SKIPPED_SURVEYS, rows)


@events.on(RequesterErased)
async def forget_requester(erased: RequesterErased, session: AsyncSession, now: datetime) -> None:
    """Let go of a requester: names, subjects and comments. Scores, dates and agents stay, so no figure moves."""
    await erasures.carry_out(erased, session, now, erase)


async def _zones(events: Sequence[Event], session: AsyncSession) -> dict[str, ZoneInfo]:
    """Find the time zone of each account. Raises Awaits for one that nobody has told of yet."""
    accounts = {event.account_id for event in events}
    known = select(Account.account_id, Account.time_zone).where(
        Account.account_id == any_(cast(list(accounts), ARRAY(Text)))
    )
    zones = {account_id: ZoneInfo(time_zone) for account_id, time_zone in await session.execute(known)}
    if unknown := accounts - zones.keys():
        raise Awaits(min(unknown))
    return zones


def _facts(event: SurveyEvent, zones: Mapping[str, ZoneInfo]) -> dict[str, Any]:
    """List what every event of a survey knows."""
    survey = event.survey
    return {
        "account_id": event.account_id,
        "survey_id": survey.survey_id,
        "ticket_id": survey.ticket_id,
        "subject": survey.subject,
        "requester_name": survey.requester_name,
        "requester_id": survey.requester_id,
        "agent_id": _id(survey.agent),
        "agent_name": _name(survey.agent),
        "assignee_id": _id(survey.assignee),
        "assignee_name": _name(survey.assignee),
        "last_replier_id": _id(survey.last_replier),
        "last_replier_name": _name(survey.last_replier),
        "priority": survey.priority,
        "channel": survey.channel[:MAX_ID_LENGTH],  # counted by, and the database bounds what it can find rows by
        "created_at": survey.created_at,
        "created_day": survey.created_at.astimezone(zones[event.account_id]).date(),
    }


def _id(agent: Agent | None) -> str | None:
    return agent.agent_id if agent else None


def _name(agent: Agent | None) -> str | None:
    return agent.name if agent else None
