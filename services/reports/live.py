"""News for open dashboards and for programs: something that reports count has changed in an account.

Rollup.py tells of it in the statement that changes a figure. What is told is the account and nothing else: whoever
hears of it asks for what they show, by the rights they have.
"""

from litestar.exceptions import ServiceUnavailableException
from litestar.response import ServerSentEvent

from services.reports.asked import Tenant
from shared.public_pages.live import Live

MOST_OF_AN_ACCOUNT = 100


async def _one() -> int:
    return 1


def tell_changes(account: Tenant, live: Live) -> ServerSentEvent:
    """Send an event `changed` at once and after every change, until the reader leaves or a quarter of an hour is over.

    The first one is for what changed since the reader last looked: changes have no numbers that could tell.
    Raises ServiceUnavailableException (503) when this replica cannot, or has too many readers.
    """
    if not live.has_room(account.account_id):
        raise ServiceUnavailableException("Too many readers, or nobody who tells. Look from time to time.")
    changes = live.news(account.account_id, since=0, newest=_one, event="changed")
    return ServerSentEvent(changes, headers={"Cache-Control": "no-store"})
