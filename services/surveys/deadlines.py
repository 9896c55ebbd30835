"""Expires surveys that nobody answered in time."""

import asyncio
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import queries
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions
from shared.chassis.outbox import emit

EVERY_SECONDS = 30.0
BATCH = 200

log = structlog.get_logger()


async def expire_overdue_surveys(sessions: Sessions, clock: Clock) -> None:
    """Expire what is overdue, now and every 30 seconds. Visitors never wait for this: the page looks at the time."""
    while True:
        async with sessions.begin() as session:
            expired = await expire_some(session, clock())
        if expired < BATCH:
            await asyncio.sleep(EVERY_SECONDS)


async def expire_some(session: AsyncSession, now: datetime) -> int:
    """Expire at most BATCH overdue surveys and tell how many there were."""
    overdue = (await session.scalars(queries.overdue_surveys(now, BATCH))).all()
    for survey in overdue:
        emit(session, survey.expire("unanswered", now))
    if overdue:
        log.info("surveys expired", count=len(overdue))
    return len(overdue)
