"""Which events had their effect: a repeat is recognised by its source and id, and has none."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, Text, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import ChassisTable, Timestamp
from shared.chassis.envelope import Envelope

DAYS = 30
"""How long an event's repeat is recognised. Longer than any broker or relay holds on to an unacknowledged event."""


class InboxMessage(ChassisTable):
    """An event that had its effect."""

    __tablename__ = "inbox"
    __table_args__ = (Index("ix_inbox_received_at", "received_at"),)

    topic: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes | None]
    received_at: Mapped[Timestamp] = mapped_column(server_default=func.now())


async def enter(session: AsyncSession, topic: str, envelopes: Sequence[Envelope[Any]]) -> set[tuple[str, str]]:
    """Write events into the inbox and tell the names of those that were not there."""
    entered = await session.execute(
        insert(InboxMessage)
        .values(
            [
                {"topic": topic, "source": envelope.source, "event_id": envelope.id, "digest": envelope.digest}
                for envelope in envelopes
            ]
        )
        .on_conflict_do_nothing()
        .returning(InboxMessage.source, InboxMessage.event_id)
    )
    return {(source, event_id) for source, event_id in entered}


async def contradictions(session: AsyncSession, topic: str, repeats: Sequence[Envelope[Any]]) -> list[Envelope[Any]]:
    """Find, among events whose names are in the inbox, those that say something else than what was entered."""
    entered = await session.execute(
        select(InboxMessage.source, InboxMessage.event_id, InboxMessage.digest).where(
            InboxMessage.topic == topic,
            tuple_(InboxMessage.source, InboxMessage.event_id).in_([envelope.name for envelope in repeats]),
        )
    )
    digests = {(source, event_id): digest for source, event_id, digest in entered}
    return [envelope for envelope in repeats if digests.get(envelope.name) not in {None, envelope.digest}]


async def forget_old_messages(session: AsyncSession, now: datetime) -> None:
    """Drop inbox rows older than DAYS."""
    await session.execute(delete(InboxMessage).where(InboxMessage.received_at < now - timedelta(days=DAYS)))
