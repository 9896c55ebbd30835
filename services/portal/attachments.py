"""Files on their way into the storage: read once, counted, hashed, held against the limits.

No more of a file is held than a chunk. An object is written down as loose before its first byte is stored, so whatever
dies before something refers to it, a sweep finds it: attached_files.py.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from uuid import UUID

import structlog
from sqlalchemy import delete, select
from uuid_utils.compat import uuid7

from services.portal.attached_files import ATTACHED, SWEEP_BATCH, SWEPT_AFTER, let_go_of_unwanted
from services.portal.chosen_files import FileRefused, Files, Limits, Stored
from services.portal.file_names import ending_as, presentable
from services.portal.file_types import HEAD_BYTES, FileType, type_of
from services.portal.storage import Storage
from services.portal.tables import LooseObject
from services.portal.uploads import PostedFile, PostedForm
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions
from shared.contracts import Attachment

SWEEP_SECONDS = 600.0

log = structlog.get_logger()


class Attachments:
    """Takes files in and gives them out."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self.storage = storage
        self.limits = limits

    async def take(self, form: PostedForm, sessions: Sessions, clock: Clock, *, store: bool) -> Files:
        """Read a form's files and store them, unless one is refused: then none is. Without `store` they are only read.

        Raises StorageFailed, ClientException (400) and RequestEntityTooLarge (413); nothing is left of the files then.
        """
        files = Files()
        total = 0
        try:
            async for file in form.files():
                if len(files.stored) + len(files.refused) == self.limits.files:
                    files.refused.append(FileRefused(file.name, "many"))
                    break
                try:
                    stored = await self._take_one(file, total, sessions, clock, store=store and not files.refused)
                except FileRefused as refused:
                    files.refused.append(refused)
                else:
                    files.stored.append(stored)
                    total += stored.attachment.size
        except BaseException:
            await self.drop(files, sessions)
            raise
        if files.refused:
            ATTACHED.labels("requester", "refused").inc(len(files.refused))
            await self.drop(files, sessions)
        return files

    async def _take_one(
        self, file: PostedFile, before: int, sessions: Sessions, clock: Clock, *, store: bool
    ) -> Stored:
        head, kind = await _looked_into(file)
        read = Reading(
            head,
            file.chunks,
            name=file.name,
            most=self.limits.bytes,
            together=self.limits.total_bytes - before,
            kind=kind,
        )
        object_id = await self.store(read, sessions, clock) if store else None
        if object_id is None:
            async for _ in read.chunks():
                pass
        return Stored(
            attachment=Attachment(
                attachment_id=str(object_id or uuid7()),
                name=ending_as(presentable(file.name), kind.endings),
                media_type=kind.media_type,
                size=read.size,
            ),
            digest=read.digest,
            object_id=object_id,
        )

    async def store(self, read: "Reading", sessions: Sessions, clock: Clock) -> UUID:
        """Store what is read, as an object that is nobody's yet."""
        object_id = uuid7()
        async with sessions.begin() as session:
            session.add(LooseObject(object_id=object_id, since=clock()))
        try:
            await self.storage.put(object_id, read.chunks())
        except BaseException:
            await self.drop_objects([object_id], sessions)
            raise
        return object_id

    async def drop(self, files: Files, sessions: Sessions) -> None:
        """Store the files no longer: what they were sent with had no effect."""
        await self.drop_objects([each.object_id for each in files.stored if each.object_id], sessions)

    async def drop_objects(self, object_ids: Sequence[UUID], sessions: Sessions) -> bool:
        """Delete loose objects. What fails is left to the sweep; tells whether nothing did."""
        try:
            for object_id in object_ids:
                await self.storage.delete(object_id)
            if object_ids:
                async with sessions.begin() as session:
                    await session.execute(delete(LooseObject).where(LooseObject.object_id.in_(object_ids)))
        except Exception as failure:  # noqa: BLE001 - they are written down
            log.warning("attachments are left to the sweep", reason=type(failure).__name__)
            return False
        return True

    async def sweep_attachments(self, sessions: Sessions, clock: Clock) -> None:
        """Delete what is nobody's, again and again, until cancelled."""
        while True:
            while await self.sweep(sessions, clock()):
                pass
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self, sessions: Sessions, now: datetime) -> bool:
        """Delete some of what is nobody's. Tells whether there may be more. Several replicas may do it at once."""
        async with sessions.begin() as session:
            await let_go_of_unwanted(session, now)
            loose = select(LooseObject.object_id).where(LooseObject.since < now - SWEPT_AFTER).limit(SWEEP_BATCH)
            object_ids = (await session.scalars(loose)).all()
        return await self.drop_objects(object_ids, sessions) and len(object_ids) == SWEEP_BATCH


@dataclass(slots=True)
class Reading:
    """Bytes that are counted, hashed and held against the limits while they pass by."""

    head: bytes
    rest: AsyncIterator[bytes]
    name: str = ""
    most: float = inf
    together: float = inf
    kind: FileType | None = None
    size: int = 0
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def digest(self) -> bytes:
        """SHA-256 of what went by."""
        return self._hash.digest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Let the bytes go by. Raises FileRefused."""
        self._takes(self.head)
        yield self.head
        async for chunk in self.rest:
            self._takes(chunk)
            yield bytes(chunk)

    def _takes(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._hash.update(chunk)
        if self.size > self.most:
            raise FileRefused(self.name, "large")
        if self.size > self.together:
            raise FileRefused(self.name, "together")
        if self.kind and not self.kind.can_go_on_with(chunk):
            raise FileRefused(self.name, "type")


async def _looked_into(file: PostedFile) -> tuple[bytes, FileType]:
    """Read the head of a file and find its type. Raises FileRefused."""
    head = await head_of(file.chunks)
    if not head:
        raise FileRefused(file.name, "empty")
    kind = type_of(head)
    if kind is None:
        raise FileRefused(file.name, "type")
    return head, kind


async def head_of(chunks: AsyncIterator[bytes]) -> bytes:
    """Read the first chunks, HEAD_BYTES or more unless there are fewer."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)
