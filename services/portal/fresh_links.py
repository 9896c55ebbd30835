"""A fresh link for who holds a dead one. It goes to the address on file; the page says the same to everybody.

Nobody learns from the answer, or from how long it takes, whether a link was ever one.
"""

import asyncio
import time
from dataclasses import replace

from litestar import Request, Response
from litestar.datastructures import State
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.portal import queries
from services.portal.link import AccessLink
from shared.chassis.outbox import emit
from shared.chassis.tenancy import transaction_of
from shared.contracts import LinkRenewed
from shared.public_pages.access_links import digest
from shared.public_pages.branding import NEUTRAL
from shared.public_pages.pages import page, problem_page
from shared.public_pages.rate_limits import FRESH_LINKS
from shared.public_pages.reader import language_of_page

ASKED = "fresh-link"
"""In the query of a form that asks for one. The form knows no token: a page of a dead link repeats nothing."""

ANSWERED_AFTER_SECONDS = 0.5
"""From every ask to its answer: longer than any of them takes."""


def offer_fresh_link(request: Request, _: Exception) -> Response:
    """Answer a dead link: it opens nothing, and here is how to get a fresh one."""
    return problem_page(request, 404, template="dead_link.html")


async def send_fresh_link(token: str, request: Request, state: State) -> Template:
    """Mail a fresh link if this one was one, and say to everybody that it is mailed if it was.

    Raises TooManyRequestsException.
    """
    begun = time.monotonic()
    await state.limiter.take(FRESH_LINKS, request, link=token)
    async with state.service.sessions() as session:  # the link is to tell whose rows may be seen
        asked = await session.get(AccessLink, digest(token))
    if asked:
        async with transaction_of(asked.account_id, state.sessions) as session:
            await _renew(asked, state, session)
    await asyncio.sleep(begun + ANSWERED_AFTER_SECONDS - time.monotonic())
    language = language_of_page(request)
    return page(
        "problem",
        language,
        brand=replace(NEUTRAL, name=language.gettext("Support")),
        title=language.gettext("Please have a look at your emails"),
        text=language.gettext(
            "If this link opened a request of yours, a fresh one is on its way to the address we know."
            " It may take a few minutes."
        ),
    )


async def _renew(asked: AccessLink, state: State, session: AsyncSession) -> None:
    ticket = await session.scalar(queries.ticket_of(asked.account_id, asked.ticket_id))
    if ticket is None or not ticket.snapshot.requester.email:
        return
    now = state.clock()
    links = (await session.scalars(queries.links_of(ticket.account_id, ticket.ticket_id))).all()
    # As it is now: what the look-up saw may have been dropped or revoked before the ticket was locked.
    asked_now = next((link for link in links if link.digest == asked.digest), None)
    if asked_now is None or not asked_now.is_renewable(links, now):
        return
    link = state.links.rotate(links, ticket, now)
    session.add(link)
    emit(
        session,
        LinkRenewed(
            account_id=ticket.account_id,
            ticket=ticket.known,
            renewal_id=str(uuid7()),
            link=state.links.url(link),
            renewed_at=now,
        ),
    )
