"""A real SMTP server that keeps what it is given and refuses what a test tells it to."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """`refuse["rita@…"] = "550 …"` refuses a recipient, `refuse_text` what is said after DATA."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.envelopes: list[tuple[str, str]] = []
        self.refuse: dict[str, str] = {}
        self.refuse_text: dict[str, str] = {}
        self.refuse_sender: str | None = None
        self.hang_up_on: str | None = None
        self.hold: asyncio.Event | None = None
        self.connections = 0
        self.tried: list[str] = []
        self.port = 0
        self._smtp_options: dict[str, Any] = {}
        self._server: asyncio.Server | None = None
        self._talks: set[SMTP] = set()

    async def open(self, **smtp_options: Any) -> None:
        """Listen, on the same port as before."""
        loop = asyncio.get_running_loop()
        options = {"enable_SMTPUTF8": False, "hostname": "mx.example", **smtp_options}

        def talk() -> SMTP:
            self.connections += 1
            smtp = SMTP(self, loop=loop, **options)
            self._talks.add(smtp)
            return smtp

        self._server = await loop.create_server(talk, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Hang up on everybody and listen no more."""
        if self._server is None:
            return
        self._server.close()
        for smtp in self._talks:
            if smtp.transport is not None:
                smtp.transport.abort()
        await asyncio.sleep(0.01)
        self._talks.clear()
        self._server = None

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse the sender."""
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse a recipient."""
        self.tried.append(address)
        if answer := self.refuse.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse a letter."""
        (recipient,) = envelope.rcpt_tos
        if self.hold is not None:
            await self.hold.wait()
        if self.hang_up_on == recipient:
            assert server.transport is not None
            server.transport.abort()
            return "250 never heard"
        if answer := self.refuse_text.get(recipient):
            return answer
        assert isinstance(envelope.content, bytes)
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.envelopes.append((envelope.mail_from or "", recipient))
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        """What somebody got."""
        return [
            letter for letter, (_, recipient) in zip(self.letters, self.envelopes, strict=True) if recipient == address
        ]


@asynccontextmanager
async def an_open_mailbox(**smtp_options: Any) -> AsyncIterator[Mailbox]:
    """A mailbox that listens until the end of the test."""
    mailbox = Mailbox()
    await mailbox.open(**smtp_options)
    try:
        yield mailbox
    finally:
        await mailbox.close()
