"""The whole of the portal in one process: pages, handlers, relay."""

from datetime import timedelta
from pathlib import Path

from litestar import Litestar

from services.portal.handlers import events
from services.portal.link import TicketLinks
from services.portal.retention import periods
from services.portal.routes import ROUTES
from services.portal.settings import Settings
from services.portal.tables import Account, Quarantined, RateLimitBucket, SpentChallenge
from shared.chassis.clock import Clock, utc_now
from shared.chassis.lifecycle import Service
from shared.chassis.retention import Retention
from shared.public_pages.branding import brand_routes
from shared.public_pages.captcha import Gate
from shared.public_pages.pace import Pace
from shared.public_pages.pages import public_app
from shared.public_pages.quarantine import Quarantine
from shared.public_pages.rate_limits import RateLimiter

FOLDER = Path(__file__).parent


def create_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Make what hears and says."""
    key = settings.secret_key.get_secret_value()
    limiter = RateLimiter(key, RateLimitBucket, settings.trusted_proxies)
    gate = Gate(key, SpentChallenge, limiter)
    quarantine = Quarantine(Quarantined)
    return Service(
        name="portal",
        settings=settings,
        events=events,
        provided={
            "links": TicketLinks(key, base_url=settings.public_url, lifetime=timedelta(days=settings.link_days)),
            "gate": gate,
            "limiter": limiter,
            "pace": Pace(key),
            "quarantine": quarantine,
        },
        chores=[Retention(periods(settings)).keep_to_periods],
        forgets=[gate.forget_expired, limiter.forget_full, quarantine.forget_old],
        clock=clock,
    )


def create_app(service: Service) -> Litestar:
    """Make the pages."""
    return public_app(service, [*ROUTES, *brand_routes(Account), *service.provided["gate"].routes()], folder=FOLDER)
