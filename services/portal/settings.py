"""What the portal needs to know beyond what every service does."""

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from shared.chassis.settings import Days, PublicUrl, SecretKey
from shared.chassis.settings import Settings as ChassisSettings
from shared.public_pages.client_address import TrustedProxies


def _of_a_storage(url: str) -> str:
    if not url.startswith(("file:///", "s3://")):
        raise ValueError("must look like file:///folder or s3://bucket/prefix")
    return url


StorageUrl = Annotated[str, AfterValidator(_of_a_storage)]


class Settings(ChassisSettings):
    """`public_url` is this service's address as requesters reach it; `secret_key` makes ticket links and captchas.

    A link opens its ticket for `link_days` after the ticket was first seen or the last reply was mailed. A ticket that
    is resolved or closed is forgotten `ticket_days` after anything happened in it.

    Attachments are kept in `attachments_url`, a folder `file:///…` that all replicas share, or `s3://bucket/prefix`.
    """

    port: int = 8001
    public_url: PublicUrl
    secret_key: SecretKey
    trusted_proxies: TrustedProxies = ()
    link_days: Annotated[int, Field(ge=1, le=3650)] = 90
    ticket_days: Days = 730
    attachments_url: StorageUrl = "file:///var/lib/closeloop/attachments"
    attachments_s3_endpoint: str = ""
    attachments_s3_region: str = ""
    attachments_s3_key_id: str = ""
    attachments_s3_secret: SecretStr = SecretStr("")
    attachments_per_reply: Annotated[int, Field(ge=0, le=50)] = 5
    attachment_max_bytes: Annotated[int, Field(ge=1)] = 10 * 1000 * 1000
    attachments_max_bytes: Annotated[int, Field(ge=1)] = 20 * 1000 * 1000
    """Of one reply's files together."""
