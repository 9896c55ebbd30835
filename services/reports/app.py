"""The whole of reports in one process: API, dashboard, handlers."""

from pathlib import Path

from litestar import Litestar

from services.reports.api import api
from services.reports.dashboard import dashboard
from services.reports.documentation import show_documentation
from services.reports.export import Exports
from services.reports.handlers import events
from services.reports.live import MOST_OF_AN_ACCOUNT
from services.reports.problems import explain
from services.reports.retention import periods
from services.reports.rollup import CHANNEL
from services.reports.settings import Settings
from services.reports.specification import openapi
from services.reports.tables import Account, RateLimitBucket
from services.reports.tokens import Tokens
from shared.chassis.clock import Clock, utc_now
from shared.chassis.lifecycle import Service
from shared.chassis.retention import Retention
from shared.public_pages.branding import brand_routes
from shared.public_pages.live import Live
from shared.public_pages.pages import public_app
from shared.public_pages.rate_limits import RateLimiter

FOLDER = Path(__file__).parent


def create_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Make what hears and keeps to its periods."""
    limiter = RateLimiter(settings.secret_key.get_secret_value(), RateLimitBucket, settings.trusted_proxies)
    live = Live(CHANNEL, most_of_one=MOST_OF_AN_ACCOUNT)
    return Service(
        name="reports",
        settings=settings,
        events=events,
        provided={"limiter": limiter, "live": live, "exports": Exports(), "tokens": _tokens(settings)},
        forgets=[limiter.forget_full],
        chores=[live.listen, Retention(periods(settings)).keep_to_periods],
        farewells=[live.dismiss],
        clock=clock,
        guarded=True,
        prepared=True,
    )


def _tokens(settings: Settings) -> Tokens | None:
    """Make what reads an identity provider's tokens, where one is named."""
    if not settings.jwks_url or not settings.jwt_issuer or not settings.jwt_audience:
        return None
    return Tokens(settings.jwks_url, settings.jwt_issuer, settings.jwt_audience)


def create_app(service: Service) -> Litestar:
    """Make the API and the pages."""
    return public_app(
        service,
        [api, show_documentation, dashboard, *brand_routes(Account)],
        folder=FOLDER,
        exception_handlers={Exception: explain},
        openapi_config=openapi,
        include_in_schema=False,  # the API says otherwise of itself
    )
