"""Files as people send them, and a help desk that sends and fetches some."""

from io import BytesIO
from typing import Any
from zipfile import ZipFile, ZipInfo

import httpx
from PIL import Image

from services.portal.tables import ApiKey
from shared.contracts import Attachment
from shared.public_pages.api_keys import new_key
from tests.captcha import solved_widget
from tests.stage import Stage

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
TEXT = "Größe: 42\nFarbe: grün\n".encode()


def a_photo(kind: str = "PNG", **size: Any) -> bytes:
    """A small picture."""
    file = BytesIO()
    Image.new("RGB", size.get("size", (3, 2)), "teal").save(file, kind)
    return file.getvalue()


def a_document() -> bytes:
    """A text document of the new kind, as office programs begin one; the same bytes each time."""
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr(ZipInfo("[Content_Types].xml"), "<Types/>")
        archive.writestr(ZipInfo("_rels/.rels"), "<Relationships/>")
        archive.writestr(ZipInfo("word/document.xml"), "<document/>")
    return file.getvalue()


async def reply_with(portal: Stage, path: str, *files: tuple[str, bytes], body: str = "See these.", **more: str):
    """Send the form with files as a browser does: texts first, names in UTF-8, a type by the name's ending."""
    solved = await solved_widget(portal.client, f"{path}/challenge")
    return await send(portal, path, {"body": body, "website": "", **solved, **more}, files)


async def send(
    portal: Stage, path: str, fields: dict[str, str], files: tuple[tuple[str, bytes], ...] | list[tuple[str, bytes]]
) -> httpx.Response:
    """Post a form as it is, with files of the worst type that a sender could claim."""
    content = multipart(fields, files)
    return await portal.client.post(path, content=content, headers={"content-type": "multipart/form-data; boundary=x"})


def multipart(fields: dict[str, str], files: Any, kind: str = "text/html") -> bytes:
    """A multipart body, files last."""
    body = BytesIO()
    for name, value in fields.items():
        body.write(f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, content in files:
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        body.write(f'--x\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n'.encode())
        body.write(f"Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n")
    body.write(b"--x--\r\n")
    return body.getvalue()


def an_attachment(**changes: Any) -> Attachment:
    """A manual that an agent sends."""
    return Attachment(
        **{
            "attachment_id": "manual-1",
            "name": "Manual.pdf",
            "media_type": "application/pdf",
            "size": len(PDF),
            **changes,
        }
    )


async def a_key(portal: Stage, account_id: str | None = "acme") -> dict[str, str]:
    """The header of a help desk with a key."""
    async with portal.service.sessions.begin() as session:
        row, key = new_key(ApiKey, "tests", portal.clock(), account_id=account_id)
        session.add(row)
    return {"Authorization": f"Bearer {key}"}


def api_path(attachment_id: str = "manual-1", account_id: str = "acme") -> str:
    """Where the help desk puts and gets a file."""
    return f"/api/v1/accounts/{account_id}/attachments/{attachment_id}"


async def put(portal: Stage, content: bytes = PDF, **path: str) -> httpx.Response:
    """Put an agent's file, with a key to every account."""
    return await portal.client.put(api_path(**path), content=content, headers=await a_key(portal, None))


def objects(portal: Stage) -> int:
    """How many objects the storage holds, half-written ones included."""
    folder = portal.service.provided["attachments"].storage._folder
    return len(list(folder.iterdir())) if folder.exists() else 0
