"""What reports needs to know beyond what every service does."""

from shared.chassis.settings import Days, PublicUrl, SecretKey
from shared.chassis.settings import Settings as ChassisSettings
from shared.public_pages.client_address import TrustedProxies


class Settings(ChassisSettings):
    """`public_url` is this service's address as browsers reach it; where it is https, cookies are for https alone.

    `secret_key` names what rate limits count, so that their table shows no address. Comments,
    names and subjects are kept for `comment_days` after a survey ended; what figures count, for ever.
    """

    port: int = 8004
    public_url: PublicUrl
    secret_key: SecretKey
    trusted_proxies: TrustedProxies = ()
    comment_days: Days = 730
