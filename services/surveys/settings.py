"""What surveys needs to know beyond what every service does."""

from shared.chassis.settings import Days, PublicUrl, SecretKey
from shared.chassis.settings import Settings as ChassisSettings
from shared.public_pages.client_address import TrustedProxies


class Settings(ChassisSettings):
    """`public_url` is this service's address as requesters reach it; `secret_key` makes survey links and captchas.

    Comments, names and subjects are kept for `comment_days` after a survey ended, why somebody was not asked for
    `skipped_survey_days`.
    """

    port: int = 8002
    public_url: PublicUrl
    secret_key: SecretKey
    trusted_proxies: TrustedProxies = ()
    comment_days: Days = 730
    skipped_survey_days: Days = 365
