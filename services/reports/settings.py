"""What reports needs to know beyond what every service does."""

from shared.chassis.settings import Days, PublicUrl
from shared.chassis.settings import Settings as ChassisSettings


class Settings(ChassisSettings):
    """`public_url` is this service's address as browsers reach it; where it is https, cookies are for https alone.

    Comments, names and subjects are kept for `comment_days` after a survey ended; what figures count, for ever.
    """

    port: int = 8004
    public_url: PublicUrl
    comment_days: Days = 730
