"""The notifier on stage, and a mail server for it to talk to."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from deploy.postgres.embedded import PostgresServer
from services.notifier import app
from services.notifier.dispatch import Dispatcher
from services.notifier.mail import MailServer
from services.notifier.settings import Settings
from tests.notifier.builders import SENDER
from tests.notifier.mailbox import Mailbox, an_open_mailbox
from tests.stage import Stage, staged


@pytest_asyncio.fixture(scope="session")
async def notifier_stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    """The service, once for all tests."""
    async with staged(
        postgres_server,
        name="notifier",
        settings=Settings,
        app=app,
        mail_from=SENDER,
        smtp_host="127.0.0.1",
        smtp_port=1,
    ) as stage:
        yield stage


@pytest_asyncio.fixture
async def notifier(notifier_stage: Stage) -> Stage:
    """The service with empty tables, at noon."""
    await notifier_stage.clear()
    return notifier_stage


@pytest_asyncio.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """A mail server that takes everything."""
    async with an_open_mailbox() as opened:
        yield opened


@dataclass
class Post:
    """The notifier's dispatcher, one round at a time."""

    stage: Stage
    mailbox: Mailbox

    def server(self, **changes: Any) -> MailServer:
        """The mailbox as the settings name it."""
        settings = self.stage.service.settings
        return MailServer(settings.model_copy(update={"smtp_port": self.mailbox.port, **changes}))

    def dispatcher(self, **changes: Any) -> Dispatcher:
        """Another dispatcher, as a second replica has it."""
        return Dispatcher(self.server(**changes), SENDER)

    async def goes_out(self, **changes: Any) -> bool:
        """Send what is due now; tell whether anything was. Raises Later when no connection held."""
        return await self.dispatcher(**changes).send_some(self.stage.service.sessions, self.stage.clock)


@pytest_asyncio.fixture
async def post(notifier: Stage, mailbox: Mailbox) -> Post:
    """What carries the stage's emails to the mailbox."""
    return Post(notifier, mailbox)
