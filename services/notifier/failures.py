"""What becomes of an email that will not arrive: it is said, and an address that does not exist is not tried again."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier.emails import TO_REQUESTERS, Email
from services.notifier.tables import Suppression
from shared.chassis.outbox import emit
from shared.contracts.notification import Reason

# The enhanced status codes that speak of the recipient's address and of nothing else: no such mailbox (5.1.1), no such
# domain (5.1.2), no address by its form (5.1.3), moved without a trace (5.1.6), a domain that takes no mail (5.1.10).
# Sources: RFC 3463, section 3.2; RFC 7505, section 4.2.
#
# All others may be about the letter, its sender or the hour: policy (5.7.x), content (5.6.x), size (5.2.3, 5.3.4), a
# full or closed mailbox, which may be opened again (5.2.x), routes (5.4.x), the sender's address (5.1.7, 5.1.8). So may
# 550 to 554 without such a code: RFC 5321, section 4.2.3, gives 550 to a missing mailbox and to policy alike.
_NO_SUCH_ADDRESS = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}


def says_no_such_address(code: str) -> bool:
    """Tell whether a code like `550 5.1.1` or `5.1.1` means that the address is bad, whatever is sent to it."""
    return code.rpartition(" ")[2] in _NO_SUCH_ADDRESS


async def fail(
    session: AsyncSession, email: Email, reason: Reason, now: datetime, *, error: str, code: str = ""
) -> None:
    """Settle an email, locked, as one that will not arrive; say so; suppress its address if `code` says it is bad."""
    emit(session, email.fail(reason, error, now, code=code))
    if reason == "bounced" and says_no_such_address(code):
        await session.execute(
            insert(Suppression)
            .values(
                account_id=email.account_id,
                address=func.lower(email.recipient),
                code=code,
                suppressed_at=now,
                requester_id=email.requester_id if email.kind in TO_REQUESTERS else None,
            )
            .on_conflict_do_nothing()
        )
