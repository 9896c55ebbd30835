"""What reports does when something happened elsewhere. Each function runs in one transaction, once for each event.

Of surveys each hears many events at once, and keeps them by one statement.

Every survey event carries the whole survey, so whichever comes first makes the row and the others add what they know.
Where two say the same kind of thing, the earlier one stays, but for a reopening, which outranks every other end: any
order of a survey's events ends in the same row.
"""

from collections.abc import Iterable, Mapping, Sequence
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
    await rollup.change(session, COUNT_SURVEYS, _facts(created, zones))


@events.on_batch(SurveySubmitted)
async def keep_ratings(submitted: Sequence[SurveySubmitted], session: AsyncSession, _: datetime) -> None:
    """Keep what requesters answered."""
    zones = await _zones(submitted, session)
    answers = {
        "score": [each.score for each in submitted],
        "comment": [each.comment for each in submitted],
        "reason": [each.reason.code if each.reason else None for each in submitted],
        "submitted_at": [each.submitted_at for each in submitted],
        "submitted_day": [each.submitted_at.astimezone(zones[each.account_id]).date() for each in submitted],
    }
    await rollup.change(session, KEEP_RATINGS, _facts(submitted, zones) | answers)


@events.on_batch(SurveyExpired)
async def keep_expiries(expired: Sequence[SurveyExpired], session: AsyncSession, _: datetime) -> None:
    """Keep that surveys can no longer be answered. One that was answered stays answered."""
    zones = await _zones(expired, session)
    ends = {
        "expired_reason": [each.reason for each in expired],
        "expired_at": [each.expired_at for each in expired],
    }
    await rollup.change(session, KEEP_EXPIRIES, _facts(expired, zones) | ends)


@events.on_batch(SurveySkipped)
async def count_skipped_surveys(skipped: Sequence[SurveySkipped], session: AsyncSession, _: datetime) -> None:
    """Keep that nobody was asked, and why."""
    zones = await _zones(skipped, session)
    tickets = [each.ticket for each in skipped]
    columns = {
        "account_id": [each.account_id for each in skipped],
        "ticket_id": [ticket.ticket_id for ticket in tickets],
        "resolved_version": [ticket.version for ticket in tickets],
        "agent_id": _ids(ticket.credited_agent for ticket in tickets),  # whom the rating would have been about
        "assignee_id": _ids(ticket.assignee for ticket in tickets),
        "last_replier_id": _ids(ticket.last_replier for ticket in tickets),
        "priority": [ticket.priority for ticket in tickets],
        "channel": [ticket.channel[:MAX_ID_LENGTH] for ticket in tickets],
        "reason": [each.reason for each in skipped],
        "skipped_at": [each.skipped_at for each in skipped],
        "skipped_day": [each.skipped_at.astimezone(zones[each.account_id]).date() for each in skipped],
    }
    await rollup.change(session, COUNT_SKIPPED_SURVEYS, columns)


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


def _facts(events: Sequence[SurveyEvent], zones: Mapping[str, ZoneInfo]) -> dict[str, list[Any]]:
    """List what every event of a survey knows, by column."""
    surveys = [event.survey for event in events]
    return {
        "account_id": [event.account_id for event in events],
        "survey_id": [survey.survey_id for survey in surveys],
        "ticket_id": [survey.ticket_id for survey in surveys],
        "subject": [survey.subject for survey in surveys],
        "requester_name": [survey.requester_name for survey in surveys],
        "requester_id": [survey.requester_id for survey in surveys],
        "agent_id": _ids(survey.agent for survey in surveys),
        "agent_name": _names(survey.agent for survey in surveys),
        "assignee_id": _ids(survey.assignee for survey in surveys),
        "assignee_name": _names(survey.assignee for survey in surveys),
        "last_replier_id": _ids(survey.last_replier for survey in surveys),
        "last_replier_name": _names(survey.last_replier for survey in surveys),
        "priority": [survey.priority for survey in surveys],
        "channel": [survey.channel[:MAX_ID_LENGTH] for survey in surveys],  # an index bounds what it holds
        "created_at": [survey.created_at for survey in surveys],
        "created_day": [event.survey.created_at.astimezone(zones[event.account_id]).date() for event in events],
    }


def _ids(agents: Iterable[Agent | None]) -> list[str | None]:
    return [agent.agent_id if agent else None for agent in agents]


def _names(agents: Iterable[Agent | None]) -> list[str | None]:
    return [agent.name if agent else None for agent in agents]
