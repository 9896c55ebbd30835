"""Asks requesters when their time has come, and once more those who have not answered."""

import asyncio
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import policy, queries
from services.surveys.link import SurveyLinks
from services.surveys.policy import Known
from services.surveys.survey import Survey
from services.surveys.tables import Account, AnsweredTicket, OptOut, SkippedSurvey
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions, is_outage
from shared.chassis.outbox import emit
from shared.contracts import SurveySkipped
from shared.contracts.survey import SkipReason

EVERY_SECONDS = 5.0
PUT_OFF = timedelta(hours=1)

log = structlog.get_logger()


class Asking:
    """Decides about surveys that are due. Any number of replicas may do so beside each other."""

    def __init__(self, links: SurveyLinks) -> None:
        self._links = links

    async def ask_when_due(self, sessions: Sessions, clock: Clock) -> None:
        """Ask whoever is to be asked, now and every 5 seconds. A transaction each, for each may wait for another."""
        while True:
            async with sessions.begin() as session:
                found = await self.ask_next(session, clock())
            if not found:
                await asyncio.sleep(EVERY_SECONDS)

    async def ask_next(self, session: AsyncSession, now: datetime) -> bool:
        """Ask, remind or skip the requester of the survey that is due longest; False when none is.

        One with which that fails for a reason of its own is put off, so that it holds up no other.
        """
        survey = await session.scalar(queries.next_due(now))
        if survey is None:
            return False
        survey_id = survey.survey_id
        try:
            async with session.begin_nested():
                await self._decide(survey, session, now)
        except Exception as failure:
            if is_outage(failure):
                raise
            log.warning("survey put off", survey_id=str(survey_id), reason=type(failure).__name__)
            await session.refresh(survey)
            survey.due_at = now + PUT_OFF
        return True

    async def _decide(self, survey: Survey, session: AsyncSession, now: datetime) -> None:
        account = await session.get_one(Account, survey.account_id)
        known = await _known(survey, account, session)
        if survey.invited_at:
            if policy.may_remind(account.survey_policy, known, survey.expires_at, now):
                emit(session, survey.remind(self._links))
            else:
                survey.leave_in_peace()
            return
        # Nobody has asked until its time was over: this did not run for days.
        over: SkipReason | None = "too_old" if now >= survey.expires_at else None
        if reason := over or policy.objection_when_due(account.survey_policy, known, now):
            _skip(survey, reason, session, now)
        else:
            emit(session, survey.ask(account, self._links, now))


async def _known(survey: Survey, account: Account, session: AsyncSession) -> Known:
    assert survey.requester_id
    requester = (survey.account_id, survey.requester_id)
    asked_at = None
    if account.survey_policy.days_between and not survey.invited_at:
        await session.execute(queries.one_at_a_time(*requester))
        asked_at = await session.scalar(queries.last_asked(*requester))
    return Known(
        opted_out=await session.get(OptOut, requester) is not None,
        asked_at=asked_at,
        is_answered=await session.get(AnsweredTicket, (survey.account_id, survey.ticket_id)) is not None,
    )


def _skip(survey: Survey, reason: SkipReason, session: AsyncSession, now: datetime) -> None:
    ticket = survey.ticket
    assert ticket
    session.add(
        SkippedSurvey(
            account_id=survey.account_id,
            ticket_id=survey.ticket_id,
            resolved_version=survey.resolved_version,
            requester_id=survey.requester_id,
            resolved_at=survey.resolved_at,
            reason=reason,
            skipped_at=now,
        )
    )
    emit(session, survey.expire("skipped", now))
    emit(session, SurveySkipped(account_id=survey.account_id, ticket=ticket, reason=reason, skipped_at=now))
