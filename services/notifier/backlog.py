"""What an operator needs to see of a queue that is stuck: how much waits, and for how long."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier import queries
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions

EVERY_SECONDS = 5.0
LATE_SECONDS = 120.0
"""An email that is due for longer is a trouble: the mail server does not answer, or there are more than we can send."""

QUEUED = Gauge("closeloop_emails_queued", "Emails that are neither sent nor failed, those put off included.")
OLDEST_DUE = Gauge(
    "closeloop_oldest_due_email_seconds",
    "How long the email that is due longest has been due; 0 when none is. Grows while the mail server does not answer,"
    " not while it refuses emails, which are then put off.",
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many emails are queued, and how many seconds the oldest due one has been due, 0.0 when none is."""

    queued: int
    oldest_due_seconds: float


async def backlog(session: AsyncSession, now: datetime) -> Backlog:
    """Measure the queue."""
    queued, due_since = (await session.execute(queries.backlog(now))).one()
    return Backlog(queued, (now - due_since).total_seconds() if due_since else 0.0)


async def late_emails(session: AsyncSession, now: datetime) -> str | None:
    """Tell when emails do not go out."""
    measured = await backlog(session, now)
    if measured.oldest_due_seconds <= LATE_SECONDS:
        return None
    return f"{measured.queued:,} emails wait, the oldest is due for {measured.oldest_due_seconds:,.0f} s"


async def flooded_addresses(session: AsyncSession, now: datetime) -> str | None:
    """Tell when emails wait since there are so many to one address. Names none."""
    emails, addresses = (await session.execute(queries.waiting_for_slots(now))).one()
    if not emails:
        return None
    return (
        f"{emails:,} emails wait for their turn; addresses to which there are more than EMAILS_PER_HOUR: {addresses:,}"
    )


async def report_backlog(sessions: Sessions, clock: Clock) -> None:
    """Keep the gauges true, every 5 seconds until cancelled."""
    while True:
        async with sessions() as session:
            measured = await backlog(session, clock())
        QUEUED.set(measured.queued)
        OLDEST_DUE.set(measured.oldest_due_seconds)
        await asyncio.sleep(EVERY_SECONDS)
