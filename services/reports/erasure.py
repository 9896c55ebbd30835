"""What reports lets go of when a requester is erased: names, subjects and comments. No count changes by it."""

from sqlalchemy import case, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.rollup import TELL, become_the_only_writer
from services.reports.tables import Erasure, Rating
from shared.contracts import RequesterErased
from shared.public_pages.erasure import Erasures, of_requester

erasures = Erasures("reports", Erasure)

NO_WORDS = {
    "subject": "",
    "requester_name": "",
    # A comment belongs to an answer, and is none where there is no answer.
    "comment": case((Rating.comment.is_not(None), "")),
}


async def erase(erased: RequesterErased, session: AsyncSession) -> dict[str, int]:
    """Empty the requester's ratings, as the only one who changes the read model: a rebuild may be swapped in."""
    await become_the_only_writer(session)
    emptied = await session.scalars(
        update(Rating)
        .where(of_requester(Rating, erased, Rating.ticket_id))
        .values(NO_WORDS)
        .returning(Rating.survey_id)
        .execution_options(synchronize_session=False)
    )
    await session.execute(TELL, {"account_id": erased.account_id})  # open pages let go of the words, too
    return {"ratings": len(emptied.all())}
