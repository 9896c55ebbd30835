"""Records that could not have their effect, kept until an operator replays or purges them, or DEAD_LETTER_DAYS passed.

A letter that `awaits` a key is not a fault yet: it came before the event it rests on (topics give no order between
each other), and runs by itself when that event arrives.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, Text, UniqueConstraint, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import ChassisTable, Timestamp
from shared.chassis.envelope import Headers, Record

MAX_REASON_LENGTH = 500
"""Characters kept of an error's text."""


class DeadLetter(ChassisTable):
    """A record as it came, and why it had no effect."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        # Kafka may deliver the record again before we acknowledged it; the timestamp tells a new log's offsets apart.
        UniqueConstraint("topic", "partition", "offset", "timestamp"),
        Index("ix_dead_letters_awaits", "awaits", postgresql_where=text("awaits IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    topic: Mapped[str] = mapped_column(Text)
    partition: Mapped[int]
    offset: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[bytes | None]
    value: Mapped[bytes | None]
    stored_headers: Mapped[list[Any]] = mapped_column("headers", JSONB)
    reason: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]
    awaits: Mapped[str | None] = mapped_column(Text)
    died_at: Mapped[Timestamp] = mapped_column(server_default=func.now())

    @property
    def headers(self) -> Headers:
        """The headers as Kafka had them, byte for byte."""
        return [(name, None if value is None else value.encode("latin-1")) for name, value in self.stored_headers]


class TooManyDeadLetters(Exception):
    """A topic lost more records within a day than its limit allows, so its consumer stands still.

    The cause is rather a release that broke a handler, or a publisher that broke a contract, than the records. Work
    goes on by itself when a later release gives the record at hand its effect, or when letters were replayed or purged.
    """

    def __init__(self, topic: str, limit: int) -> None:
        super().__init__(f"{topic} has more than {limit} dead letters of the last 24 hours")


class Awaits(Exception):
    """Raised by a handler whose event rests on one that has not arrived: the key of that one."""

    def __init__(self, key: str) -> None:
        super().__init__(f"waits for {key}")
        self.key = key


async def bury(
    session: AsyncSession, record: Record, reason: str, *, attempts: int, awaits: str | None, value: bytes | None
) -> bool:
    """Keep a record among the dead letters, once however often it is delivered. False when it is there already.

    `value` is what may be kept of its value.
    """
    first = await session.scalar(
        insert(DeadLetter)
        .values(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
            key=record.key,
            value=value,
            stored_headers=_storable(record.headers),
            reason=reason.replace("\0", "")[:MAX_REASON_LENGTH],
            attempts=attempts,
            awaits=awaits,
        )
        .on_conflict_do_nothing(constraint="uq_dead_letters_topic_partition_offset_timestamp")
        .returning(DeadLetter.id)
    )
    return first is not None


_EXHUME = text("""
    DELETE FROM dead_letters
    USING unnest(CAST(:partitions AS integer[]), CAST(:offsets AS bigint[]), CAST(:timestamps AS bigint[]))
        AS places ("partition", "offset", "timestamp")
    WHERE dead_letters.topic = :topic AND dead_letters.partition = places.partition
        AND dead_letters.offset = places.offset AND dead_letters.timestamp = places.timestamp
""")


async def exhume(session: AsyncSession, topic: str, records: Sequence[Record]) -> bool:
    """Remove records that had their effect from the dead letters. False when the topic has no dead letter at all."""
    if not await session.scalar(select(DeadLetter.id).where(DeadLetter.topic == topic).limit(1)):
        return False
    places = {
        "partitions": [record.partition for record in records],
        "offsets": [record.offset for record in records],
        "timestamps": [record.timestamp for record in records],
    }
    await session.execute(_EXHUME, {"topic": topic, **places})
    return True


async def count_letters(session: AsyncSession) -> Counter[tuple[str, str]]:
    """Count the letters by topic and whether they are "dead" or "waiting"."""
    waits = DeadLetter.awaits.is_not(None)
    rows = await session.execute(select(DeadLetter.topic, waits, func.count()).group_by(DeadLetter.topic, waits))
    return Counter({(topic, "waiting" if waiting else "dead"): count for topic, waiting, count in rows})


async def refuse_too_many(session: AsyncSession, topic: str, limit: int) -> None:
    """Raise TooManyDeadLetters when more than `limit` records of a topic died within 24 hours and still lie here."""
    died = select(func.count()).where(
        DeadLetter.topic == topic,
        DeadLetter.awaits.is_(None),
        DeadLetter.died_at > func.now() - timedelta(days=1),
    )
    if (await session.scalar(died) or 0) > limit:
        raise TooManyDeadLetters(topic, limit)


def _storable(headers: Sequence[tuple[str, bytes | None]]) -> list[list[str | None]]:
    """Bytes as JSON text: Latin-1 maps each byte to one character and back. NUL, which JSONB has not, is dropped."""
    return [
        [name.replace("\0", ""), None if value is None else value.decode("latin-1").replace("\0", "")]
        for name, value in headers
    ]
