"""How long reports keeps what people wrote. What figures count is kept for ever."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.erasure import NO_WORDS
from services.reports.rollup import TELL, become_the_only_writer
from services.reports.settings import Settings
from services.reports.tables import Rating
from shared.chassis.retention import Period, dead_letters


def periods(settings: Settings) -> Sequence[Period]:
    """Say how long each is kept."""
    return (
        Period(
            what="comments, names and subjects of ratings",
            days=settings.comment_days,
            setting="COMMENT_DAYS",
            drop=_forget_words,
        ),
        dead_letters(settings),
    )


async def _forget_words(session: AsyncSession, before: datetime, limit: int) -> int:
    """Empty ratings of surveys that ended before. A rebuild reads the words back; the next round drops them again."""
    key = (Rating.account_id, Rating.survey_id)
    old = (
        select(*key)
        .where(
            Rating.created_at < before,
            func.coalesce(Rating.submitted_at, Rating.expired_at, Rating.created_at) < before,
            or_(func.coalesce(Rating.comment, "") != "", Rating.subject != "", Rating.requester_name != ""),
        )
        .limit(limit)
    )
    rows = [tuple(row) for row in await session.execute(old)]
    if rows:
        await become_the_only_writer(session)
        statement = update(Rating).where(tuple_(*key).in_(rows)).values(NO_WORDS)
        await session.execute(statement.execution_options(synchronize_session=False))
        for account_id in {account_id for account_id, _ in rows}:
            await session.execute(TELL, {"account_id": account_id})  # open pages let go of the words, too
    return len(rows)
