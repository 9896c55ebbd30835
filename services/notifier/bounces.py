"""Emails that come back: a mail server took one and says later that it could not deliver it.

Anybody can send us mail. A report counts only when it names the Message-ID of an email we sent, which nobody can guess,
and the address we sent it to. Sources: RFC 3464 (delivery status notifications), RFC 6522 (multipart/report).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.message import Message
from typing import cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier.emails import Email
from services.notifier.failures import fail, says_no_such_address
from services.notifier.letters import NotAnAddress, address_of, message_id
from services.notifier.mail import codes_in

LONGEST = 10 * 1024 * 1024
"""Bytes of a message that is read. A report returns our letter at most, which is far smaller."""


class NotCounted(Exception):
    """The message changes nothing, and its text says why. Names no person and quotes no message."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A recipient whose mail server has given up. `code` is what was said, in codes only."""

    recipient: str
    code: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery status notification says: which message, and for whom it failed."""

    message_id: str
    failures: tuple[Failure, ...]


async def take(raw: bytes, session: AsyncSession, sender: str, now: datetime) -> str:
    """Fail the email that a report is about, once however often it comes, and tell what was done. Raises NotCounted."""
    report = read(raw)
    email_id = _email_named(report.message_id, sender)
    email = await session.get(Email, email_id, with_for_update=True) if email_id else None
    if email is None or email.attempts == 0:
        raise NotCounted("it is about no email of ours")
    failure = next((failure for failure in report.failures if _is_to(email, failure.recipient)), None)
    if failure is None:
        raise NotCounted(f"it is not about the recipient of email {email.id}")
    if email.state == "failed":
        return f"email {email.id} has failed before ({email.failed_reason}); nothing changed"
    # A server that gave up for the time being has given up all the same, but says nothing against the address.
    reason = "bounced" if failure.permanent else "gave_up"
    await fail(session, email, reason, now, error=f"came back: {failure.code}", code=failure.code)
    suppressed = failure.permanent and says_no_such_address(failure.code)
    return f"email {email.id} failed: {reason}, {failure.code}" + ("; its address is suppressed" if suppressed else "")


def read(raw: bytes) -> Report:
    """Read a message as a delivery status notification about a failure. Raises NotCounted, whatever the bytes are."""
    if len(raw) > LONGEST:
        raise NotCounted(f"it is larger than {LONGEST // 1024**2} MiB")
    try:
        return _read(message_from_bytes(raw))
    except NotCounted:
        raise
    except Exception as failure:  # noqa: BLE001 - strangers write these, and the parser has its limits
        raise NotCounted(f"it cannot be read: {type(failure).__name__}") from None


def _read(message: Message) -> Report:
    parts = _parts(message) if message.get_content_type() == "multipart/report" else []
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    if status is None:
        raise NotCounted("it is no delivery status notification")
    failures = tuple(failure for fields in _parts(status) if (failure := _failure(fields)))
    if not failures:
        raise NotCounted("it tells of no failure for good")
    returned = next(_returned(parts), None)
    if returned is None:
        raise NotCounted("it does not say which message it is about")
    return Report(returned, failures)


def _parts(message: Message) -> list[Message]:
    return cast(list[Message], message.get_payload()) if message.is_multipart() else []


def _failure(fields: Message) -> Failure | None:
    """Read the fields of one recipient; None where they tell of no failure, as of a delay."""
    kind, _, recipient = _text(fields, "Final-Recipient").partition(";")
    status = re.match(r"[45]\.\d{1,3}\.\d{1,3}(?!\d)", _text(fields, "Status"))
    failed = _text(fields, "Action").lower() == "failed"
    if not (failed and status and kind.strip().lower() == "rfc822"):
        return None
    # The status of some servers is 5.0.0 whatever happened; what the server before them said is more telling.
    source, _, said = _text(fields, "Diagnostic-Code").partition(";")
    codes = codes_in(said.strip()) if source.strip().lower() == "smtp" else ""
    code = codes if " " in codes else f"{codes} {status[0]}".strip()
    return Failure(recipient.strip(" \t\r\n<>"), code, permanent=status[0].startswith("5"))


def _returned(parts: list[Message]) -> Iterator[str]:
    """Find the Message-ID in what a report returns: the message, or nothing but its header."""
    for part in parts:
        if part.get_content_type() == "text/rfc822-headers":
            returned = message_from_bytes(cast(bytes, part.get_payload(decode=True)))
        elif part.get_content_maintype() == "message" and part.get_content_type() != "message/delivery-status":
            returned = next(iter(_parts(part)), None)
        else:
            continue
        if returned is not None and (named := _text(returned, "Message-ID")):
            yield named


def _text(message: Message, name: str) -> str:
    return str(message.get(name, "")).strip()


def _email_named(text: str, sender: str) -> UUID | None:
    """Find which email of ours a Message-ID names; None where it is no such."""
    try:
        email_id = UUID(text.strip("<>").partition("@")[0])
    except ValueError:
        return None
    return email_id if message_id(email_id, sender).lower() == text.lower() else None


def _is_to(email: Email, recipient: str) -> bool:
    # Not the Original-Recipient: one dead mailbox behind an address that is passed on to five is not a dead address.
    try:
        return address_of(email).addr_spec.lower() == recipient.lower()
    except NotAnAddress:
        return False
