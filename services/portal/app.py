"""The whole of the portal in one process: pages, handlers, relay."""

from datetime import timedelta
from pathlib import Path

from litestar import Litestar

from services.portal.attachment_routes import api, openapi
from services.portal.attachments import Attachments
from services.portal.chosen_files import Limits
from services.portal.handlers import events
from services.portal.link import TicketLinks
from services.portal.live import CHANNEL, MOST_OF_A_TICKET
from services.portal.retention import periods
from services.portal.rich_text import formatted, passages
from services.portal.routes import ROUTES
from services.portal.settings import Settings
from services.portal.storage import Storage
from services.portal.tables import Account, Quarantined, RateLimitBucket, SpentChallenge
from shared.chassis.clock import Clock, utc_now
from shared.chassis.lifecycle import Service
from shared.chassis.retention import Retention
from shared.public_pages.admission import Admission
from shared.public_pages.branding import brand_routes
from shared.public_pages.captcha import Gate
from shared.public_pages.live import Live
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
    pace = Pace(key)
    quarantine = Quarantine(Quarantined)
    attachments = attachments_of(settings)
    live = Live(CHANNEL, most_of_one=MOST_OF_A_TICKET)
    return Service(
        name="portal",
        settings=settings,
        events=events,
        provided={
            "links": TicketLinks(key, base_url=settings.public_url, lifetime=timedelta(days=settings.link_days)),
            "gate": gate,
            "limiter": limiter,
            "pace": pace,
            "admission": Admission(gate, pace),
            "quarantine": quarantine,
            "attachments": attachments,
            "live": live,
        },
        chores=[attachments.sweep_attachments, live.listen, Retention(periods(settings)).keep_to_periods],
        farewells=[live.dismiss],
        forgets=[gate.forget_expired, limiter.forget_full, quarantine.forget_old],
        clock=clock,
        guarded=True,
    )


def attachments_of(settings: Settings) -> Attachments:
    """Make what takes files in and gives them out."""
    storage = Storage(
        settings.attachments_url,
        endpoint=settings.attachments_s3_endpoint,
        region=settings.attachments_s3_region,
        key_id=settings.attachments_s3_key_id,
        secret=settings.attachments_s3_secret.get_secret_value(),
    )
    limits = Limits(
        files=settings.attachments_per_reply,
        bytes=settings.attachment_max_bytes,
        total_bytes=settings.attachments_max_bytes,
    )
    return Attachments(storage, limits)


def create_app(service: Service) -> Litestar:
    """Make the pages and the API."""
    routes = [*ROUTES, api, *brand_routes(Account), *service.provided["gate"].routes()]
    return public_app(
        service,
        routes,
        folder=FOLDER,
        filters={"formatted": formatted, "passages": passages},
        openapi_config=openapi,
        include_in_schema=False,  # the API says otherwise of itself
    )
