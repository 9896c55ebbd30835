"""How long surveys keeps what: words of surveys that have ended, why somebody was not asked."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.settings import Settings
from services.surveys.survey import Survey
from services.surveys.tables import SkippedSurvey
from shared.chassis.retention import Period, dead_letters, deleting


def periods(settings: Settings) -> Sequence[Period]:
    """Say how long each is kept."""
    return (
        Period(
            what="comments, names, subjects and links of surveys that have ended",
            days=settings.comment_days,
            setting="COMMENT_DAYS",
            drop=_forget_requesters,
        ),
        Period(
            what="why somebody was not asked",
            days=settings.skipped_survey_days,
            setting="SKIPPED_SURVEY_DAYS",
            drop=deleting(SkippedSurvey, SkippedSurvey.skipped_at),
        ),
        dead_letters(settings),
    )


async def _forget_requesters(session: AsyncSession, before: datetime, limit: int) -> int:
    """Empty surveys that ended before; scores, dates and agents stay."""
    words = [
        Survey.comment,
        *(func.jsonb_extract_path_text(Survey.facts, name, type_=String) for name in ("subject", "requester_name")),
    ]
    surveys = (
        await session.scalars(
            select(Survey)
            .where(
                func.coalesce(Survey.submitted_at, Survey.expired_at) < before,
                Survey.expires_at < before,
                or_(*(text != "" for text in words)),
            )
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()
    for survey in surveys:
        survey.forget_requester()
    return len(surveys)
