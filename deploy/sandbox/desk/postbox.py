"""Where emails arrive: an SMTP server that takes whatever it is sent and keeps it as it came."""

import asyncio

import structlog
from aiosmtpd.smtp import SMTP, Envelope
from uuid_utils.compat import uuid7

from deploy.sandbox.desk.tables import Mail
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions
from shared.chassis.lifecycle import Chore

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
