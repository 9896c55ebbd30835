"""A real SMTP server that keeps what it is given and refuses what a test tells it to."""

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

EVERYBODY = "*"
SECONDS_PER_BYTE = 0.05


class _Talk(SMTP):
    """A conversation, which can also begin badly, trickle, or end where it should not."""

    def __init__(self, mailbox: "Mailbox", **options: Any) -> None:
        super().__init__(mailbox, **options)
        self._mailbox = mailbox
        self.seconds_per_byte = SECONDS_PER_BYTE if mailbox.slow_on == EVERYBODY else 0.0
        self.ends_after_answer = False

    async def push(self, status: str | bytes) -> None:
        answer = status.encode() if isinstance(status, str) else status
        if answer.startswith(b"220") and self._mailbox.greeting:
            answer = self._mailbox.greeting.encode()
        if self.seconds_per_byte:
            for byte in answer:
                self._writer.write(bytes([byte]))
                await asyncio.sleep(self.seconds_per_byte)
            answer = b""
        await super().push(answer)
        if self.ends_after_answer and self.transport is not None:
            self.transport.close()

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        await super().smtp_MAIL(self._without_dsn_options(arg))

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        await super().smtp_RCPT(self._without_dsn_options(arg))

    def _without_dsn_options(self, arg: str | None) -> str | None:
        """Take what RFC 3461 adds, which aiosmtpd does not know, if it was offered."""
        words = (arg or "").split()
        asked = [word for word in words if word.startswith(("RET=", "NOTIFY="))]
        if not self._mailbox.knows_dsn or not asked:
            return arg
        self._mailbox.asked_of_dsn += asked
        return " ".join(word for word in words if word not in asked)


class Mailbox:
    """`refuse["rita@…"] = "550 …"` refuses a recipient, `refuse_text` what is said after DATA.

    Addresses of a recipient: `hang_up_on` ends the connection instead of the answer to DATA, `hang_up_after` right
    after it, `silent_on` never answers, `babble_on` answers what is no answer, `slow_on` a byte at a time (EVERYBODY
    from the greeting on).
    """

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.envelopes: list[tuple[str, str]] = []
        self.refuse: dict[str, str] = {}
        self.refuse_text: dict[str, str] = {}
        self.refuse_sender: str | None = None
        self.greeting: str | None = None
        self.hang_up_on: str | None = None
        self.hang_up_after: str | None = None
        self.silent_on: str | None = None
        self.babble_on: str | None = None
        self.slow_on: str | None = None
        self.knows_dsn = False
        self.asked_of_dsn: list[str] = []
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
            smtp = _Talk(self, loop=loop, **options)
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

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Say what the server can do."""
        session.host_name = hostname
        return [responses[0], *(["250-DSN"] if self.knows_dsn else []), *responses[1:]]

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse the sender."""
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options) -> str:  # noqa: N802 - aiosmtpd's name
        """Take or refuse a recipient."""
        self.tried.append(address)
        assert isinstance(server, _Talk)
        server.seconds_per_byte = SECONDS_PER_BYTE if self.slow_on == address else 0.0
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
        if self.silent_on == recipient:
            await asyncio.Event().wait()
        if answer := self.refuse_text.get(recipient):
            return answer
        assert isinstance(envelope.content, bytes)
        assert isinstance(server, _Talk)
        server.ends_after_answer = self.hang_up_after == recipient
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        self.envelopes.append((envelope.mail_from or "", recipient))
        return "what?" if self.babble_on == recipient else "250 OK"

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
