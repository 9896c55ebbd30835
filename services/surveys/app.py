"""The whole of surveys in one process: pages, handlers, deadlines, relay."""

from pathlib import Path

from litestar import Litestar

from services.surveys.asking import Asking
from services.surveys.deadlines import expire_overdue_surveys
from services.surveys.handlers import events
from services.surveys.link import SurveyLinks
from services.surveys.retention import periods
from services.surveys.routes import ROUTES
from services.surveys.settings import Settings
from services.surveys.tables import Account, Quarantined, RateLimitBucket, SpentChallenge
from shared.chassis.clock import Clock, utc_now
from shared.chassis.lifecycle import Service
from shared.chassis.retention import Retention
from shared.public_pages.admission import Admission
from shared.public_pages.branding import brand_routes
from shared.public_pages.captcha import Gate
from shared.public_pages.pace import Pace
from shared.public_pages.pages import public_app
from shared.public_pages.quarantine import Quarantine
from shared.public_pages.rate_limits import RateLimiter

FOLDER = Path(__file__).parent


def create_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Make what hears, says and works in the background."""
    key = settings.secret_key.get_secret_value()
    limiter = RateLimiter(key, RateLimitBucket, settings.trusted_proxies)
    gate = Gate(key, SpentChallenge, limiter)
    pace = Pace(key)
    quarantine = Quarantine(Quarantined)
    links = SurveyLinks(key, base_url=settings.public_url)
    return Service(
        name="surveys",
        settings=settings,
        events=events,
        provided={
            "links": links,
            "gate": gate,
            "limiter": limiter,
            "pace": pace,
            "admission": Admission(gate, pace),
            "quarantine": quarantine,
        },
        chores=[expire_overdue_surveys, Asking(links).ask_when_due, Retention(periods(settings)).keep_to_periods],
        forgets=[gate.forget_expired, limiter.forget_full, quarantine.forget_old],
        clock=clock,
        guarded=True,
    )


def create_app(service: Service) -> Litestar:
    """Make the pages."""
    return public_app(service, [*ROUTES, *brand_routes(Account), *service.provided["gate"].routes()], folder=FOLDER)
