"""Attachments as a help desk has them: its agents' files are put to the portal, its requesters' are got from there."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Sequence

from litestar import Request
from litestar.datastructures import UploadFile
from litestar.exceptions import NotFoundException
from uuid_utils.compat import uuid7

from deploy.sandbox.desk.settings import Settings
from shared.contracts import Attachment

MAX_BYTES = 10_000_000
SECONDS = 5


async def fields_and_files(request: Request) -> tuple[dict[str, str], list[UploadFile]]:
    """Read a form that may have files."""
    form = await request.form()
    texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    return texts, [value for _, value in form.multi_items() if isinstance(value, UploadFile)]


async def put(account_id: str, files: Sequence[UploadFile], settings: Settings) -> tuple[Attachment, ...]:
    """Hand an agent's files to the portal, and make what the event tells of them. Raises OSError."""
    attachments = []
    for file in files:
        content = await file.read()
        attachment = Attachment(
            attachment_id=str(uuid7()), name=file.filename, media_type=file.content_type, size=len(content)
        )
        await asyncio.to_thread(_ask, account_id, attachment.attachment_id, settings, content)
        attachments.append(attachment)
    return tuple(attachments)


async def get(account_id: str, attachment_id: str, settings: Settings) -> bytes:
    """Get a file from the portal. Raises NotFoundException while it is not there, OSError."""
    try:
        return await asyncio.to_thread(_ask, account_id, attachment_id, settings)
    except urllib.error.HTTPError as refused:
        if refused.code == 404:
            raise NotFoundException from None
        raise


def _ask(account_id: str, attachment_id: str, settings: Settings, content: bytes | None = None) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - the address is a setting
        f"{settings.portal_api_url}/api/v1/accounts/{account_id}/attachments/{attachment_id}",
        data=content,
        method="GET" if content is None else "PUT",
        headers={"Authorization": f"Bearer {settings.portal_key()}", "Content-Type": "application/octet-stream"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - as above
        return answer.read()
