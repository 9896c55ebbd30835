"""A mailbox that takes every email sent to it, keeps it, and shows it as a mail client would."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from deploy.sandbox.desk.tables import Mail
from shared.chassis.database import Sessions
from shared.chassis.inbox import Clock
from shared.chassis.lifecycle import Chore

SHOWN = 200
"""Newest emails in the list."""

log = structlog.get_logger()


class _Postbox:
    """Stores what SMTP delivers; answers 451, try again, when it cannot."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    async def handle_DATA(self, _server: SMTP, _session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.original_content or b""
        try:
            async with self._sessions.begin() as session:
                session.add_all(
                    Mail(mail_id=uuid7(), recipient=recipient, raw=content, received_at=self._clock())
                    for recipient in envelope.rcpt_tos
                )
        except Exception as failure:  # noqa: BLE001 - the sender keeps it and tries again
            log.warning("email not stored", reason=type(failure).__name__)
            return "451 The mailbox cannot store it now"
        return "250 OK"


def take_emails(port: int) -> Chore:
    """Make the chore that speaks SMTP on 127.0.0.1:`port`."""

    async def take_emails(sessions: Sessions, clock: Clock) -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(_Postbox(sessions, clock), enable_SMTPUTF8=True, hostname="mailbox.example"),
            "127.0.0.1",
            port,
        )
        async with server:
            await server.serve_forever()

    return take_emails


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
