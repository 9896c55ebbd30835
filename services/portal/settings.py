"""What the portal needs to know beyond what every service does."""

from typing import Annotated

from pydantic import Field

from shared.chassis.settings import Days, PublicUrl, SecretKey
from shared.chassis.settings import Settings as ChassisSettings
from shared.public_pages.client_address import TrustedProxies


class Settings(ChassisSettings):
    """`public_url` is this service's address as requesters reach it; `secret_key` makes ticket links and captchas.

    A link opens its ticket for `link_days` after the ticket was first seen or the last reply was mailed. A ticket that
    is resolved or closed is forgotten `ticket_days` after anything happened in it.
    """

    port: int = 8001
    public_url: PublicUrl
    secret_key: SecretKey
    trusted_proxies: TrustedProxies = ()
    link_days: Annotated[int, Field(ge=1, le=3650)] = 90
    ticket_days: Days = 730
