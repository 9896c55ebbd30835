"""What surveys needs to know beyond what every service does."""

from shared.chassis.settings import PublicUrl, SecretKey
from shared.chassis.settings import Settings as ChassisSettings
from shared.public_pages.client_address import TrustedProxies


class Settings(ChassisSettings):
    """`public_url` is this service's address as requesters reach it; `secret_key` makes survey links and captchas."""

    port: int = 8002
    public_url: PublicUrl
    secret_key: SecretKey
    trusted_proxies: TrustedProxies = ()
