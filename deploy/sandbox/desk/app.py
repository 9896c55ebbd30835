"""The demo help desk in one process: pages, handlers, mailbox, relay."""

import asyncio
from pathlib import Path

from litestar import Litestar

from deploy.sandbox.desk.demo import publish_demo
from deploy.sandbox.desk.handlers import events
from deploy.sandbox.desk.routes import ROUTES
from deploy.sandbox.desk.settings import Settings
from shared.chassis.clock import Clock, utc_now
from shared.chassis.database import Sessions
from shared.chassis.lifecycle import Chore, Service
from shared.public_pages.pages import public_app

FOLDER = Path(__file__).parent


async def publish_demo_once(sessions: Sessions, clock: Clock) -> None:
    """Publish the demonstration when the desk is new."""
    async with sessions.begin() as session:
        await publish_demo(session, clock())
    await asyncio.Event().wait()  # a chore that returned would be started again


def create_service(settings: Settings, clock: Clock = utc_now) -> Service:
    """Make what hears, says and works in the background."""
    chores: list[Chore] = [publish_demo_once]
    if settings.smtp_port is not None:
        from deploy.sandbox.desk.postbox import take_emails  # noqa: PLC0415 - aiosmtpd is the sandbox's alone

        chores.append(take_emails(settings.smtp_port))
    return Service(
        name="desk",
        settings=settings,
        events=events,
        provided={"settings": settings},
        chores=chores,
        clock=clock,
    )


def create_app(service: Service) -> Litestar:
    """Make the pages."""
    return public_app(service, ROUTES, folder=FOLDER)
