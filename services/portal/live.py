"""News for open ticket pages, by the ticket's revision, which a trigger raises and tells of."""

from collections.abc import AsyncIterator

from litestar.response.sse import ServerSentEventMessage

from services.portal import queries
from services.portal.ticket import Ticket
from shared.chassis.database import Sessions
from shared.chassis.tenancy import session_of
from shared.public_pages.live import Live

CHANNEL = "ticket_changed"
"""The trigger's, in migration portal_0006."""

MOST_OF_A_TICKET = 10


def news_of(ticket: Ticket, since: int, live: Live, sessions: Sessions) -> AsyncIterator[ServerSentEventMessage]:
    """Tell a reader of every revision of the ticket after `since`."""

    async def newest() -> int:
        async with session_of(ticket.account_id, sessions) as session:
            return await session.scalar(queries.revision_of(ticket)) or 0

    return live.news(ticket.account_id, ticket.ticket_id, since=since, newest=newest)
