"""An agent's file comes in: once for each id, whatever comes first, the bytes or the event that tells of them."""

import hashlib

from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import ClientException
from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from services.portal.attached_files import ATTACHED, UNMENTIONED_FOR, adopt
from services.portal.attachments import Attachments, Reading, head_of
from services.portal.file_types import UNKNOWN, type_of
from services.portal.tables import AttachedFile
from services.portal.ticket import Ticket
from services.portal.uploads import at_most
from shared.chassis.tenancy import session_of, transaction_of


class Clash(Exception):
    """Other bytes are stored under this id."""


async def take_agents_file(
    request: Request, state: State, *, account_id: str, attachment_id: str
) -> tuple[bool, AttachedFile]:
    """Store the body of a request; tell whether it was the first under this id, and what is stored.

    Raises Clash, ClientException (400) for an empty body, RequestEntityTooLarge (413), StorageFailed.
    """
    attachments: Attachments = state.attachments
    request.receive = at_most(attachments.limits.bytes, request.receive)
    key = (account_id, attachment_id)
    async with session_of(account_id, state.sessions) as session:
        there = await session.get(AttachedFile, key)
    if there and there.object_id:
        digest = hashlib.sha256()
        async for chunk in request.stream():
            digest.update(chunk)
        return False, _same(there, digest.digest())
    body = request.stream()
    head = await head_of(body)
    if not head:
        raise ClientException("The file is empty.")
    read = Reading(head, body)
    object_id = await attachments.store(read, state.sessions, state.clock)
    kind = type_of(head)
    async with transaction_of(account_id, state.sessions) as session:
        now = state.clock()
        facts = {
            "object_id": object_id,
            "size": read.size,
            "digest": read.digest,
            "media_type": kind.media_type if kind else UNKNOWN,
        }
        # A row without an object is of an event that came before: it is kept for ever already.
        file = await session.scalar(
            insert(AttachedFile)
            .values(account_id=account_id, attachment_id=attachment_id, kept_until=now + UNMENTIONED_FOR, **facts)
            .on_conflict_do_update(
                index_elements=["account_id", "attachment_id"], set_=facts, where=AttachedFile.object_id.is_(None)
            )
            .returning(AttachedFile)
        )
        if file:
            await adopt(object_id, session, now)
        else:
            there = await session.get_one(AttachedFile, key)
    if file:
        ATTACHED.labels("agent", "stored").inc()
        await _tell_readers(file, state)
        return True, file
    assert there
    await attachments.drop_objects([object_id], state.sessions)  # somebody else was first meanwhile
    return False, _same(there, read.digest)


async def _tell_readers(file: AttachedFile, state: State) -> None:
    """Let open pages of the ticket that awaited a file show it.

    In a transaction of its own: who adds a message locks its ticket first and its files then.
    """
    if file.ticket_id:
        async with transaction_of(file.account_id, state.sessions) as session:
            await session.execute(
                update(Ticket)
                .filter_by(account_id=file.account_id, ticket_id=file.ticket_id)
                .values(revision=Ticket.revision + 1)
            )


def _same(there: AttachedFile, digest: bytes) -> AttachedFile:
    if there.digest != digest:
        raise Clash
    return there
