"""A rating, or a message after one, that was put aside takes effect after all."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.survey import AlreadyAnswered, NoLongerOpen, Survey
from shared.chassis.outbox import emit
from shared.contracts import ReasonGiven
from shared.public_pages.quarantine import NotRestored, QuarantinedColumns


async def restore_rating(held: QuarantinedColumns, session: AsyncSession, now: datetime) -> None:
    """Rate with what was put aside, as of the time it was sent: it counts for that day. A message is told as of now."""
    survey = await session.get(Survey, UUID(held.about), with_for_update=True)
    if survey is None:
        raise NotRestored("Its survey is gone.")
    form = held.form
    try:
        if "message" in form:
            emit(session, survey.follow_up(form["message"], now))
            return
        reason = ReasonGiven(code=form["reason"], text=form["reason_text"]) if form.get("reason") else None
        emit(session, survey.answer(int(form["score"]), form["comment"], held.received_at, reason=reason))
    except AlreadyAnswered:
        raise NotRestored("Its survey was answered since; the first answer stays.") from None
    except NoLongerOpen:
        raise NotRestored(f"Its survey has ended ({survey.expired_reason or 'unanswered'}).") from None
