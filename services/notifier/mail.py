"""SMTP, and nothing else of the notifier's: an open connection, and what a failure means for the email in hand."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from services.notifier.settings import Settings

TIMEOUT_SECONDS = 30.0
"""For connecting and for each answer of the server."""

QUIT_SECONDS = 3.0


class Later(Exception):
    """The email did not go out now and may another time. Its text names no person and quotes no message."""


class Never(Exception):
    """This email will not be taken, however often it is tried. Its text names no person and quotes no message."""


class Connection:
    """A conversation with the mail server, one email after the other."""

    def __init__(self, smtp: SMTP, sender: str) -> None:
        self._smtp = smtp
        self._sender = sender

    @property
    def is_open(self) -> bool:
        """Whether another email can be sent on it."""
        return self._smtp.is_connected

    async def send(self, message: EmailMessage) -> None:
        """Hand over one email to its one recipient. When this returns, the server has it. Raises Later or Never."""
        try:
            await self._smtp.send_message(message, sender=self._sender)
        except (SMTPException, OSError) as failure:
            raise _meaning(failure) from failure


class MailServer:
    """The server that `settings` name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Connect, encrypt and log in as the settings say. Raises Later when that fails, whatever the reason."""
        settings = self._settings
        smtp = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=settings.smtp_user,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            start_tls=settings.smtp_starttls,
            # Else the machine's name is looked up in the DNS, which can take long and says who we are.
            local_hostname=settings.mail_from.rpartition("@")[2],
            timeout=TIMEOUT_SECONDS,
        )
        try:
            try:
                await smtp.connect()
            except (SMTPException, OSError) as failure:
                raise Later(f"no connection: {_reason(failure)}") from failure
            yield Connection(smtp, settings.mail_from)
            with suppress(SMTPException, OSError):
                await smtp.quit(timeout=QUIT_SECONDS)
        finally:
            smtp.close()


def _meaning(failure: Exception) -> Later | Never:
    """Tell what passes from what stays.

    A refused sender is our configuration's fault, not the email's: it waits until somebody has mended that.
    """
    if isinstance(failure, SMTPRecipientsRefused):
        failure = failure.recipients[0]
    for_good = (
        isinstance(failure, SMTPResponseException)
        and not isinstance(failure, SMTPSenderRefused)
        and 500 <= failure.code <= 599
    )
    return Never(_reason(failure)) if for_good else Later(_reason(failure))


def _reason(failure: Exception) -> str:
    """Name a failure by its codes: servers quote addresses, and filters the links they object to."""
    name = type(failure).__name__
    if isinstance(failure, SMTPResponseException):
        enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", failure.message)
        return " ".join([name, str(failure.code), *([enhanced[0]] if enhanced else [])])
    cause = failure.__cause__
    return f"{name} ({type(cause).__name__})" if cause else name
