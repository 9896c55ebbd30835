"""What surveys lets go of when a requester is erased: names, subjects, comments and links. What figures need stays."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.survey import Survey
from services.surveys.tables import Erasure, Quarantined
from shared.contracts import RequesterErased
from shared.public_pages.erasure import Erasures, of_requester

erasures = Erasures("surveys", Erasure)


async def erase(erased: RequesterErased, session: AsyncSession) -> dict[str, int]:
    """Empty the requester's surveys and delete their ratings that were put aside. A pending survey ends in its time."""
    theirs = select(Survey).where(of_requester(Survey, erased, Survey.ticket_id))
    surveys = (await session.scalars(theirs.order_by(Survey.survey_id).with_for_update())).all()
    for survey in surveys:
        survey.forget_requester()
    put_aside = await session.scalars(
        delete(Quarantined)
        .where(
            Quarantined.account_id == erased.account_id,
            Quarantined.about.in_([str(survey.survey_id) for survey in surveys]),
        )
        .returning(Quarantined.quarantine_id)
    )
    return {"surveys": len(surveys), "quarantined": len(put_aside.all())}
