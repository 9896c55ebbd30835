"""The link that opens one ticket: made when the ticket is first seen, longer-lived with every mailed reply, revocable.

It can be replaced by the next generation, for which anybody who holds a dead one may ask, a few times a day; those
before then go on for OVERLAP at most. The database holds a digest; the token is computed anew whenever it is mailed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from services.portal.tables import Table
from services.portal.ticket import Ticket
from shared.chassis.database import Timestamp
from shared.public_pages.access_links import AccessLinks, digest

OVERLAP = timedelta(days=7)
"""How long a link that was replaced goes on working: for emails under way and pages that are open."""

DAY = timedelta(days=1)
MOST_A_DAY = 3
APART = timedelta(minutes=10)
"""Of fresh links of one ticket: so many a day and one in so long, whoever asks. A double click mails one."""


class AccessLink(Table):
    """One generation of a ticket's link. The highest one is the current one."""

    __tablename__ = "access_links"
    __table_args__ = (UniqueConstraint("account_id", "ticket_id", "generation"),)

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(Text)
    ticket_id: Mapped[str] = mapped_column(Text)
    generation: Mapped[int]
    created_at: Mapped[Timestamp]
    expires_at: Mapped[Timestamp]
    revoked_at: Mapped[Timestamp | None]

    def revoke(self, now: datetime) -> None:
        """Open nothing any more. The next mailed reply carries a link of the next generation."""
        self.revoked_at = self.revoked_at or now

    def is_renewable(self, links: Sequence["AccessLink"], now: datetime) -> bool:
        """Tell whether who holds this one may have a fresh one mailed, given all links of the ticket.

        It must be dead, but not by an operator's hand, and there must not have been too many lately.
        """
        ages = [now - link.created_at for link in links if link.generation > 1]
        return (
            not self.revoked_at
            and now >= self.expires_at
            and all(age >= APART for age in ages)
            and sum(age < DAY for age in ages) < MOST_A_DAY
        )


class TicketLinks:
    """Makes the links of tickets; each opens its ticket for `lifetime`."""

    def __init__(self, key: str, *, base_url: str, lifetime: timedelta) -> None:
        self._links = AccessLinks(key, purpose="ticket", base_url=base_url, path="t")
        self._lifetime = lifetime

    def first(self, ticket: Ticket, now: datetime) -> AccessLink:
        """Make the link of a ticket that is seen for the first time."""
        return self._generation(1, ticket, now)

    def for_mail(self, current: AccessLink, ticket: Ticket, now: datetime) -> AccessLink:
        """Give the link to mail: the current one, good for its whole lifetime again, or the next when it is revoked."""
        if current.revoked_at:
            return self._generation(current.generation + 1, ticket, now)
        current.expires_at = max(current.expires_at, now + self._lifetime)
        return current

    def rotate(self, links: Sequence[AccessLink], ticket: Ticket, now: datetime) -> AccessLink:
        """Make the generation after a ticket's `links`, the current one first; they go on for OVERLAP at most."""
        for link in links:
            link.expires_at = min(link.expires_at, now + OVERLAP)
        return self._generation(links[0].generation + 1, ticket, now)

    def url(self, link: AccessLink) -> str:
        """The address that is mailed. Holds the token: not for logs, not for the database."""
        return self._links.url(self._token(link))

    def _generation(self, generation: int, ticket: Ticket, now: datetime) -> AccessLink:
        link = AccessLink(
            account_id=ticket.account_id,
            ticket_id=ticket.ticket_id,
            generation=generation,
            created_at=now,
            expires_at=now + self._lifetime,
        )
        link.digest = digest(self._token(link))
        return link

    def _token(self, link: AccessLink) -> str:
        return self._links.token(link.account_id, link.ticket_id, link.generation)
