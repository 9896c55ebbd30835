"""How long things are kept: each service says its periods, one task drops what is older, a few rows at a time.

Any number of replicas may do it beside each other: rows that one has in hand are left to it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from prometheus_client import Counter
from sqlalchemy import ColumnElement, delete, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from shared.chassis.clock import Clock
from shared.chassis.database import Sessions
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.settings import Settings

EVERY_SECONDS = 6 * 3600.0
BATCH = 500

DROPPED = Counter(
    "closeloop_retention_dropped_total", "Rows deleted, or emptied of words, because their time was over.", ["what"]
)

log = structlog.get_logger()

Drop = Callable[[AsyncSession, datetime, int], Awaitable[int]]
"""Drops, in the session's transaction, at most so many rows of before a time, and tells how many there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """`what` is kept for `days`. `setting` is the variable that says how many; None where nobody can change it."""

    what: str
    days: int
    setting: str | None
    drop: Drop


class Retention:
    """Keeps a service to its periods."""

    def __init__(self, periods: Sequence[Period]) -> None:
        self.periods = tuple(periods)

    async def keep_to_periods(self, sessions: Sessions, clock: Clock) -> None:
        """Drop what is too old, now and every 6 hours until cancelled."""
        while True:
            await self.drop_all(sessions, clock)
            await asyncio.sleep(EVERY_SECONDS)

    async def drop_all(self, sessions: Sessions, clock: Clock) -> None:
        """Drop what is too old, in transactions of at most BATCH rows."""
        for period in self.periods:
            dropped = 0
            before = clock() - timedelta(days=period.days)
            while True:
                async with sessions.begin() as session:
                    count = await period.drop(session, before, BATCH)
                dropped += count
                DROPPED.labels(period.what).inc(count)
                if count < BATCH:
                    break
            if dropped:
                log.info("time was over", what=period.what, rows=dropped, days=period.days)


def deleting(table: Any, at: InstrumentedAttribute, *conditions: ColumnElement[bool]) -> Drop:
    """Delete a table's rows whose `at` is before the time and that meet the conditions."""
    key = table.__table__.primary_key.columns

    async def drop(session: AsyncSession, before: datetime, limit: int) -> int:
        old = select(*key).where(at < before, *conditions).limit(limit).with_for_update(skip_locked=True)
        rows = [tuple(row) for row in await session.execute(old)]
        if rows:
            await session.execute(delete(table).where(tuple_(*key).in_(rows)))
        return len(rows)

    return drop


def dead_letters(settings: Settings) -> Period:
    """Say how long records without effect are kept: by then nobody will replay them."""
    return Period(
        what="dead letters",
        days=settings.dead_letter_days,
        setting="DEAD_LETTER_DAYS",
        drop=deleting(DeadLetter, DeadLetter.died_at),
    )
