"""What the notifier needs to know beyond what every service does."""

from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared.chassis.settings import Days
from shared.chassis.settings import Settings as ChassisSettings


def _an_address(text: str) -> str:
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError):
        address = Address()
    if not (address.username and address.domain and text.isascii()):
        raise ValueError("must look like support@desk.example")
    return text


MailAddress = Annotated[str, AfterValidator(_an_address)]


class Settings(ChassisSettings):
    """`mail_from` is the address all emails come from; the account's name stands beside it.

    `mail_bounces_to` is where mail servers send what they could not deliver, unset the same address.

    `smtp_starttls`: true asks for encryption or does not send, false never asks, unset encrypts where it is offered.

    Emails are kept for `email_days` after they were queued. An address that does not exist is not written to for
    `suppression_days`.
    """

    port: int = 8003
    mail_from: MailAddress
    mail_bounces_to: MailAddress | None = None
    smtp_host: str
    smtp_port: int = 587
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool | None = None
    emails_per_hour: Annotated[int, Field(ge=1)] = 60
    """To one address, whichever accounts they are from. What is beyond that waits."""
    email_days: Days = 90
    suppression_days: Days = 365
