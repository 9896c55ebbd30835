"""Submissions that look like a robot's: put aside with the reason, so that a person's can be restored.

Who sent one sees the usual success. An operator restores it with all effects, once; else it is dropped after 30 days.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Text, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from shared.chassis.database import Json, Timestamp
from shared.chassis.telemetry import count_when_committed

KEPT_FOR = timedelta(days=30)
MOST = 20
"""Kept of one ticket or survey at a time: what a robot sends beyond that is gone."""

Reason = Literal["honeypot", "too_fast"]

QUARANTINED = Counter(
    "closeloop_quarantined_total",
    "Replies and ratings that were put aside since they look like a robot's.",
    ["reason"],
)


class QuarantinedColumns:
    """Columns of a service's `quarantined` table. `about` is the ticket's or the survey's id, `form` what was typed."""

    quarantine_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(Text)
    about: Mapped[str] = mapped_column(Text)
    reason: Mapped[Reason] = mapped_column(Text)
    form: Mapped[dict[str, str]] = mapped_column(Json(dict[str, str]))
    received_at: Mapped[Timestamp] = mapped_column(index=True)
    restored_at: Mapped[Timestamp | None]


class NotRestored(Exception):
    """It cannot be restored. The text tells an operator why."""


Restore = Callable[[QuarantinedColumns, AsyncSession, datetime], Awaitable[None]]
"""Gives a submission the effects it would have had. Raises NotRestored."""


class Quarantine:
    """Puts submissions aside in `table`."""

    def __init__(self, table: type[QuarantinedColumns]) -> None:
        self._table = table

    async def keep(
        self,
        reason: Reason,
        form: Mapping[str, str],
        session: AsyncSession,
        now: datetime,
        *,
        account_id: str,
        about: str,
    ) -> UUID | None:
        """Put a submission aside and tell its id; None when enough is kept.

        The caller holds a lock on what it is about.
        """
        table = self._table
        same = select(func.count()).select_from(table).filter_by(account_id=account_id, about=about, restored_at=None)
        if (await session.scalar(same) or 0) >= MOST:
            return None
        quarantine_id = uuid7()
        await session.execute(
            insert(table).values(
                quarantine_id=quarantine_id,
                account_id=account_id,
                about=about,
                reason=reason,
                form=dict(form),
                received_at=now,
            )
        )
        count_when_committed(QUARANTINED.labels(reason), session)
        return quarantine_id

    async def forget_old(self, session: AsyncSession, now: datetime) -> None:
        """Drop what nobody asked for within KEPT_FOR."""
        await session.execute(delete(self._table).where(self._table.received_at < now - KEPT_FOR))
