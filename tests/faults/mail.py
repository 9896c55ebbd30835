"""A mail server that can be told to misbehave, for everybody or for some, and that knows what it took."""

import asyncio
from collections.abc import Callable
from email.message import EmailMessage
from typing import Literal

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.notifier.mailbox import Mailbox

Behaviour = Literal["421", "450", "550", "552", "hang", "cut before 250", "cut after 250", "slow"]

HANG_SECONDS = 120.0
ANSWERS = {
    "450": "450 4.2.1 mailbox busy",
    "550": "550 5.1.1 no such user",
    "552": "552 5.2.2 mailbox full",
}


class ScriptedMailbox(Mailbox):
    """`script` says for an address how its emails are met; None: they are taken, as without a script.

    A server that has not said 250 has not taken the email; one that has, has, whether or not anybody heard it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.script: Callable[[str], Behaviour | None] = lambda _: None
        self.met: list[tuple[Behaviour, str]] = []
        self.listener: Callable[[str, EmailMessage], None] = lambda *_: None

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        behaviour = self.script(address)
        if behaviour in {"450", "550"}:
            self.met.append((behaviour, address))
            return ANSWERS[behaviour]
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take, refuse or lose a letter."""
        (recipient,) = envelope.rcpt_tos
        behaviour = self.script(recipient)
        if behaviour is not None:
            self.met.append((behaviour, recipient))
        assert server.transport is not None
        match behaviour:
            case "552":
                return ANSWERS["552"]
            case "421":
                server.transport.write(b"421 4.3.2 closing\r\n")
                server.transport.close()
                return "421 closed"
            case "hang":
                await asyncio.sleep(HANG_SECONDS)
                return "451 woken"
            case "cut before 250":
                server.transport.abort()
                return "451 never heard"
        answer = await super().handle_DATA(server, session, envelope)
        self.listener(recipient, self.letters[-1])
        if behaviour == "cut after 250":
            server.transport.abort()
        elif behaviour == "slow":
            for byte in b"250 ":
                server.transport.write(bytes([byte]))
                await asyncio.sleep(1)
            return "OK"
        return answer

    @property
    def conversations(self) -> int:
        """How many connections are open."""
        return sum(smtp.transport is not None and not smtp.transport.is_closing() for smtp in self._talks)
