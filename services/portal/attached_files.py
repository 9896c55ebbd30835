"""Whose the stored bytes are: a message's for ever, a quarantined reply's while it is kept, else nobody's.

An object belongs to somebody from the commit of what refers to it. What is nobody's is loose, and deleted by a sweep.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal.chosen_files import Files
from services.portal.tables import AttachedFile, LooseObject
from shared.chassis.telemetry import count_when_committed
from shared.contracts import Attachment

LONGEST_UPLOAD = timedelta(hours=1)
"""What took longer is refused: long before the sweep could take it for abandoned."""

SWEPT_AFTER = timedelta(days=1)
SWEEP_BATCH = 100
UNMENTIONED_FOR = timedelta(days=30)
"""How long an agent's file waits for the event that tells of it."""

ATTACHED = Counter(
    "closeloop_attachments_total",
    "Files that were sent: stored, or refused for their type, size or number.",
    ["by", "outcome"],
)


async def keep(
    files: Files, session: AsyncSession, now: datetime, *, account_id: str, quarantine_id: UUID | None = None
) -> None:
    """Let files belong to a message that refers to them, or to a quarantined one for as long as it is kept."""
    files.kept = True
    if files.stored:
        count_when_committed(ATTACHED.labels("requester", "stored"), session)
    for each in files.stored:
        assert each.object_id
        await adopt(each.object_id, session, now)
        session.add(
            AttachedFile(
                account_id=account_id,
                attachment_id=each.attachment.attachment_id,
                object_id=each.object_id,
                media_type=each.attachment.media_type,
                size=each.attachment.size,
                digest=each.digest,
                kept_until=now if quarantine_id else None,
                quarantine_id=quarantine_id,
            )
        )


async def adopt(object_id: UUID, session: AsyncSession, now: datetime) -> None:
    """Take a loose object for somebody's. Raises TimeoutError when it lay so long that the sweep may have it."""
    taken = await session.scalar(
        delete(LooseObject)
        .where(LooseObject.object_id == object_id, LooseObject.since > now - LONGEST_UPLOAD)
        .returning(LooseObject.object_id)
    )
    if taken is None:
        raise TimeoutError("the upload took too long")


async def expect(attachments: Sequence[Attachment], session: AsyncSession, *, account_id: str, ticket_id: str) -> None:
    """Keep the files a message of a ticket refers to for ever, those that have come and those that will."""
    for attachment_id in sorted({attachment.attachment_id for attachment in attachments}):
        await session.execute(
            insert(AttachedFile)
            .values(account_id=account_id, attachment_id=attachment_id, ticket_id=ticket_id, kept_until=None)
            .on_conflict_do_update(
                index_elements=["account_id", "attachment_id"],
                set_={"ticket_id": ticket_id, "kept_until": None, "quarantine_id": None},
            )
        )


async def let_go(attachment_ids: Sequence[str], session: AsyncSession, now: datetime, *, account_id: str) -> None:
    """Keep files no longer, whoever refers to them. The sweep deletes them."""
    if not attachment_ids:
        return
    await session.execute(
        update(AttachedFile)
        .where(AttachedFile.account_id == account_id, AttachedFile.attachment_id.in_(attachment_ids))
        .values(kept_until=now, quarantine_id=None)
    )


async def let_go_of_unwanted(session: AsyncSession, now: datetime) -> None:
    """Make loose what nobody refers to any more."""
    unwanted = (
        select(AttachedFile)
        .where(AttachedFile.kept_until <= now, AttachedFile.quarantine_id.is_(None))
        .limit(SWEEP_BATCH)
        .with_for_update(skip_locked=True)
    )
    for file in await session.scalars(unwanted):
        if file.object_id:
            session.add(LooseObject(object_id=file.object_id, since=now - SWEPT_AFTER - timedelta(seconds=1)))
        await session.delete(file)
