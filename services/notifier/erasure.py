"""What the notifier lets go of when a requester is erased: every email to them or about them, and their addresses."""

from sqlalchemy import Text, and_, delete, func, or_
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier.emails import TO_REQUESTERS, Email
from services.notifier.tables import Erasure, Suppression
from shared.contracts import RequesterErased
from shared.public_pages.erasure import Erasures, of_requester

erasures = Erasures("notifier", Erasure)


async def erase(erased: RequesterErased, session: AsyncSession) -> dict[str, int]:
    """Delete the requester's emails, sent or not, and lift the suppression of their addresses.

    An email that is being handed to the mail server at this moment goes out; nothing is left of it here.
    """
    ticket_id = func.jsonb_extract_path_text(Email.facts, "ticket_id", type_=Text)
    emails = (
        await session.execute(
            delete(Email)
            .where(of_requester(Email, erased, ticket_id))
            .returning(Email.kind, func.lower(Email.recipient, type_=Text))
        )
    ).all()
    addresses = {address for kind, address in emails if kind in TO_REQUESTERS}
    lifted = await session.scalars(
        delete(Suppression)
        .where(
            Suppression.account_id == erased.account_id,
            or_(
                Suppression.requester_id == erased.requester_id,
                and_(Suppression.requester_id.is_(None), Suppression.address.in_(addresses)),
            ),
        )
        .returning(Suppression.address)
    )
    return {"emails": len(emails), "suppressions": len(lifted.all())}
