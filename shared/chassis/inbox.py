"""Which events had their effect: a repeat is recognised by its source and id, and has none."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, Text, delete, func, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import ChassisTable, Timestamp
from shared.chassis.envelope import Envelope

DAYS = 30
"""How long an event's repeat is recognised. Longer than any broker or relay holds on to an unacknowledged event."""


class InboxMessage(ChassisTable):
    """An event that had its effect."""

    __tablename__ = "inbox"
    # Rows come in the order of the time they are dropped by, so it is enough to know which pages are old.
    __table_args__ = (Index("ix_inbox_received_at", "received_at", postgresql_using="brin"),)

    topic: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[bytes | None]
    received_at: Mapped[Timestamp] = mapped_column(server_default=func.now())


# Lists, and no row of parameters for each event: that took longer to put together than to do.
_ENTER = text("""
    WITH entered AS (
        INSERT INTO inbox (topic, source, event_id, digest)
        SELECT CAST(:topic AS text), source, event_id, digest
        FROM unnest(CAST(:sources AS text[]), CAST(:event_ids AS text[]), CAST(:digests AS bytea[]))
            AS told (source, event_id, digest)
        ON CONFLICT DO NOTHING
        RETURNING source, event_id
    )
    SELECT
        count(*) = cardinality(CAST(:event_ids AS text[])) AS is_all,
        CASE WHEN count(*) < cardinality(CAST(:event_ids AS text[])) THEN array_agg(source) END AS sources,
        CASE WHEN count(*) < cardinality(CAST(:event_ids AS text[])) THEN array_agg(event_id) END AS event_ids
    FROM entered
""")
_ENTERED = text("""
    SELECT source, event_id, digest
    FROM inbox JOIN unnest(CAST(:sources AS text[]), CAST(:event_ids AS text[])) AS named (source, event_id)
        USING (source, event_id)
    WHERE topic = :topic
""")


async def enter(session: AsyncSession, topic: str, envelopes: Sequence[Envelope[Any]]) -> set[tuple[str, str]]:
    """Write events into the inbox and tell the names of those that were not there."""
    executed = await session.execute(
        _ENTER,
        {
            "topic": topic,
            "sources": [envelope.source for envelope in envelopes],
            "event_ids": [envelope.id for envelope in envelopes],
            "digests": [envelope.digest for envelope in envelopes],
        },
    )
    entered = executed.one()
    if entered.is_all:  # as nearly always, and then nobody has to send all the names back
        return {envelope.name for envelope in envelopes}
    return set(zip(entered.sources or (), entered.event_ids or (), strict=True))


async def contradictions(session: AsyncSession, topic: str, repeats: Sequence[Envelope[Any]]) -> list[Envelope[Any]]:
    """Find, among events whose names are in the inbox, those that say something else than what was entered."""
    named = {
        "topic": topic,
        "sources": [envelope.source for envelope in repeats],
        "event_ids": [envelope.id for envelope in repeats],
    }
    entered = await session.execute(_ENTERED, named)
    digests = {(source, event_id): digest for source, event_id, digest in entered}
    return [envelope for envelope in repeats if digests.get(envelope.name) not in {None, envelope.digest}]


async def forget_old_messages(session: AsyncSession, now: datetime) -> None:
    """Drop inbox rows older than DAYS."""
    await session.execute(delete(InboxMessage).where(InboxMessage.received_at < now - timedelta(days=DAYS)))
