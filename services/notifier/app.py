"""The whole of the notifier in one process: handlers, dispatcher, relay, health."""

from litestar import Litestar

from services.notifier.backlog import flooded_addresses, late_emails, report_backlog
from services.notifier.dispatch import Dispatcher
from services.notifier.handlers import events
from services.notifier.mail import MailServer
from services.notifier.retention import periods
from services.notifier.settings import Settings
from shared.chassis import health
from shared.chassis.clock import Clock, utc_now
from shared.chassis.lifecycle import Service
from shared.chassis.retention import Retention


def create_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Make what hears and works in the background."""
    dispatcher = Dispatcher(MailServer(settings), sender=settings.mail_from, per_hour=settings.emails_per_hour)
    return Service(
        name="notifier",
        settings=settings,
        events=events,
        chores=[dispatcher.send_due_emails, report_backlog, Retention(periods(settings)).keep_to_periods],
        checks=[late_emails, flooded_addresses],
        clock=clock,
        guarded=True,
    )


def create_app(service: Service) -> Litestar:
    """Make what operators ask: is it alive, is it ready, what does it count."""
    return Litestar(
        list(health.ROUTES),
        state=service.state,
        lifespan=[service.running],
        openapi_config=None,
        logging_config=None,
    )
