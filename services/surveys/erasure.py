"""What surveys lets go of when a requester is erased: names, subjects, comments and links. What figures need stays."""

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys.survey import Survey
from services.surveys.tables import Erasure, OptOut, Quarantined
from shared.contracts import RequesterErased
from shared.public_pages.erasure import Erasures, of_requester

erasures = Erasures("surveys", Erasure)


async def erase(erased: RequesterErased, session: AsyncSession) -> dict[str, int]:
    """Empty the requester's surveys, delete their ratings that were put aside and their wish not to be asked.

    A pending survey ends in its time, and nobody is asked or reminded any more.
    """
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
    opt_outs = await session.scalars(
        delete(OptOut)
        .filter_by(account_id=erased.account_id, requester_id=erased.requester_id)
        .returning(OptOut.requester_id)
    )
    return {"surveys": len(surveys), "quarantined": len(put_aside.all()), "opt_outs": len(opt_outs.all())}
