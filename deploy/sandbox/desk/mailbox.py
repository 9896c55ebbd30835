"""Emails that arrived, read as a mail client reads them."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from typing import cast

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from deploy.sandbox.desk.tables import Mail

SHOWN = 200
"""Newest emails in the list."""


@dataclass(frozen=True)
class Letter:
    """An email, read."""

    mail: Mail

    @cached_property
    def message(self) -> EmailMessage:
        """The email as the standard library reads it."""
        return message_from_bytes(self.mail.raw, policy=default)  # pyright: ignore[reportReturnType] - by its policy

    @property
    def subject(self) -> str:
        """What it is about."""
        return str(self.message["Subject"] or "")

    @property
    def sender(self) -> str:
        """Who it is from, by name where there is one."""
        addresses = self.message["From"].addresses if self.message["From"] else ()
        return next((address.display_name or address.addr_spec for address in addresses), "")

    @property
    def text(self) -> str:
        """The plain part."""
        part = self.message.get_body(("plain",))
        return part.get_content() if part else ""

    @property
    def links(self) -> Sequence[str]:
        """Where the plain part leads, each once."""
        return list(dict.fromkeys(re.findall(r"https?://\S+", self.text)))

    @property
    def html(self) -> str:
        """The HTML part with its inline pictures put in place and links that open in a new tab."""
        part = self.message.get_body(("html",))
        if part is None:
            return ""
        html = part.get_content()
        for picture in self.message.walk():
            if name := (picture["Content-ID"] or "").strip("<> "):
                data = b64encode(cast(bytes, picture.get_payload(decode=True))).decode()
                html = html.replace(f"cid:{name}", f"data:{picture.get_content_type()};base64,{data}")
        return html.replace("<head>", '<head><base target="_blank">', 1)


async def newest_letters(session: AsyncSession, address: str | None = None) -> list[Letter]:
    """Get the newest emails first, all or one person's."""
    query = select(Mail).order_by(Mail.received_at.desc(), Mail.mail_id.desc()).limit(SHOWN)
    mails = await session.scalars(query.where(Mail.recipient == address) if address else query)
    return [Letter(mail) for mail in mails]
