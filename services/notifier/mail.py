"""SMTP, and nothing else of the notifier's: an open connection, and what a failure means for the email in hand."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from typing import Any

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from prometheus_client import Counter

from services.notifier.settings import Settings

TIMEOUT_SECONDS = 30.0
"""For connecting and for each answer of the server, but for the one to an email's text."""

CONNECT_SECONDS = 60.0
"""For everything before the first email: connecting, encrypting, logging in."""

TRY_SECONDS = 120.0
"""For one email, however many answers it takes and however slowly they trickle in.

All that is left of it is for the answer to the text: who hangs up while the server still thinks about that sends the
email twice (RFC 1047; RFC 5321, section 4.5.3.2.6).
"""

QUIT_SECONDS = 3.0

_ABOUT_OUR_LOGIN = {530, 534, 535, 538}
"""Source: RFC 4954, section 6, and for 538 RFC 2554, section 6."""

REFUSALS = Counter(
    "closeloop_smtp_refusals_total",
    "Answers by which the mail server refused a connection, a sender or an email: 4xx for now, 5xx for good.",
    ["code"],
)


class Later(Exception):
    """The email did not go out now and may another time. Its text names no person and quotes no message.

    `unsettled`: whether it went out is not known. The connection broke after its text and before the answer.
    """

    def __init__(self, text: str, *, unsettled: bool = False) -> None:
        super().__init__(text)
        self.unsettled = unsettled


class Never(Exception):
    """This email will not be taken, however often it is tried. Its text names no person and quotes no message.

    `code` is what the server said, in codes only, such as `550 5.1.1`.
    """

    def __init__(self, text: str, *, code: str) -> None:
        super().__init__(text)
        self.code = code


class _Conversation(SMTP):
    """Remembers whether the text of the email in hand was handed over."""

    text_handed_over = False

    async def data(self, message: str | bytes, /, **_: Any) -> Any:
        self.text_handed_over = True
        return await super().data(message, timeout=TRY_SECONDS)

    async def introduce_ourselves(self) -> None:
        """Learn what the server can do, where encrypting and logging in have not asked for it."""
        await self._ehlo_or_helo_if_needed()


class Connection:
    """A conversation with the mail server, one email after the other."""

    def __init__(self, smtp: _Conversation, sender: str) -> None:
        self._smtp = smtp
        self._sender = sender

    @property
    def is_open(self) -> bool:
        """Whether another email can be sent on it."""
        return self._smtp.is_connected

    async def send(self, message: EmailMessage) -> None:
        """Hand over one email to its one recipient. When this returns, the server has it. Raises Later or Never."""
        # RFC 3461: tell us of failures only, and send back the headers only, for the text holds a link.
        knows_dsn = self._smtp.supports_extension("dsn")
        self._smtp.text_handed_over = False
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await self._smtp.send_message(
                    message,
                    sender=self._sender,
                    mail_options=["RET=HDRS"] if knows_dsn else [],
                    rcpt_options=["NOTIFY=FAILURE"] if knows_dsn else [],
                )
        except (SMTPException, OSError) as failure:
            _count(failure)
            if answer := _answer(failure):
                raise _meaning(answer) from failure
            self._smtp.close()  # what the server still says would be taken for its answer to the next email
            raise Later(_reason(failure), unsettled=self._smtp.text_handed_over) from failure


class MailServer:
    """The server that `settings` name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Connect, encrypt and log in as the settings say. Raises Later when that fails, whatever the reason."""
        settings = self._settings
        smtp = _Conversation(
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
                async with asyncio.timeout(CONNECT_SECONDS):
                    await smtp.connect()
                    await smtp.introduce_ourselves()
            except (SMTPException, OSError) as failure:
                _count(failure)
                raise Later(f"no connection: {_reason(failure)}") from failure
            yield Connection(smtp, settings.mail_bounces_to or settings.mail_from)
            with suppress(SMTPException, OSError):
                await smtp.quit(timeout=QUIT_SECONDS)
        finally:
            smtp.close()


def _answer(failure: Exception) -> SMTPResponseException | None:
    """Find the server's answer by which something failed, if there is one that can be read."""
    if isinstance(failure, SMTPRecipientsRefused):
        failure = failure.recipients[0]
    if not isinstance(failure, SMTPResponseException) or failure.code < 0:
        return None
    return failure


def _count(failure: Exception) -> None:
    answer = _answer(failure)
    if answer and 400 <= answer.code <= 599:
        REFUSALS.labels(answer.code).inc()


def _meaning(answer: SMTPResponseException) -> Later | Never:
    """Tell what passes from what stays.

    A refused sender or log-in is our configuration's fault, not the email's: it waits until somebody has mended that.
    But for 552, by which a server answers to the sender that the email is too large (RFC 1870, section 6.1).
    """
    ours = answer.code in _ABOUT_OUR_LOGIN or (isinstance(answer, SMTPSenderRefused) and answer.code != 552)
    if 500 <= answer.code <= 599 and not ours:
        return Never(_reason(answer), code=_codes(answer))
    return Later(_reason(answer))


def _reason(failure: Exception) -> str:
    """Name a failure by its codes: servers quote addresses, and filters the links they object to."""
    if answer := _answer(failure):
        return f"{type(answer).__name__} {_codes(answer)}"
    if type(failure) is TimeoutError:
        return "took too long"
    name, cause = type(failure).__name__, failure.__cause__
    return f"{name} ({type(cause).__name__})" if cause else name


def _codes(answer: SMTPResponseException) -> str:
    return codes_in(f"{answer.code} {answer.message}")


def codes_in(reply: str) -> str:
    """Find the codes at the beginning of a server's reply: `550 5.1.1`, `550`, or nothing where it begins otherwise."""
    codes = re.match(r"(\d{3})(?:[ -]+([245]\.\d{1,3}\.\d{1,3})\b)?(?!\d)", reply)
    return " ".join(filter(None, codes.groups())) if codes else ""
