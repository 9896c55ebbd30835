"""A rating that was put aside is given after all."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.survey import AlreadyAnswered, NoLongerOpen, Survey
from shared.chassis.outbox import emit
from shared.public_pages.quarantine import NotRestored, QuarantinedColumns


async def restore_rating(held: QuarantinedColumns, session: AsyncSession, _: datetime) -> None:
    """Rate with what was put aside, as of the time it was sent: it counts for that day."""
    survey = await session.get(Survey, UUID(held.about), with_for_update=True)
    if survey is None:
        raise NotRestored("Its survey is gone.")
    try:
        emit(session, survey.answer(int(held.form["score"]), held.form["comment"], held.received_at))
    except AlreadyAnswered:
        raise NotRestored("Its survey was answered since; the first answer stays.") from None
    except NoLongerOpen:
        raise NotRestored(f"Its survey has ended ({survey.expired_reason or 'unanswered'}).") from None
