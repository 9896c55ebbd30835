"""The notifier on stage, and a mail server for it to talk to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest_asyncio
from sqlalchemy import update

from deploy.postgres.embedded import PostgresServer
from services.notifier import app
from services.notifier.dispatch import Dispatcher
from services.notifier.emails import Email
from services.notifier.mail import MailServer
from services.notifier.settings import Settings
from tests.builders import RITA, a_ticket, an_account
from tests.notifier.builders import SENDER, a_reply_published
from tests.notifier.mailbox import Mailbox, an_open_mailbox
from tests.stage import Stage, staged

RITAS = RITA.email or ""


async def replies(notifier: Stage, count: int) -> None:
    """So many emails to Rita."""
    await notifier.hears(an_account(), *(a_reply_published(reply_id=f"a-{n}") for n in range(count)))


def replies_to(*addresses: str) -> list:
    """One published reply to each address."""
    return [
        a_reply_published(
            reply_id=f"to-{address}", ticket=a_ticket(requester=type(RITA)(requester_id="x", name="X", email=address))
        )
        for address in addresses
    ]


async def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def leases_run(notifier: Stage, time: timedelta) -> None:
    """So much time passes for all leases, which go by the database's clock."""
    async with notifier.service.sessions.begin() as session:
        await session.execute(update(Email).values(held_until=Email.held_until - time))


async def stopped(task: asyncio.Task) -> None:
    """Stop a chore as the service does."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


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
    """The notifier's dispatcher, one connection at a time."""

    stage: Stage
    mailbox: Mailbox
    per_hour: int = 1_000_000

    def server(self, **changes: Any) -> MailServer:
        """The mailbox as the settings name it."""
        settings = self.stage.service.settings
        return MailServer(settings.model_copy(update={"smtp_port": self.mailbox.port, **changes}))

    def dispatcher(self, **changes: Any) -> Dispatcher:
        """Another dispatcher, as a second replica has it."""
        return Dispatcher(self.server(**changes), SENDER, per_hour=self.per_hour)

    async def goes_out(self, **changes: Any) -> bool:
        """Send what is due now over one connection; tell whether anything was. Raises Later when it did not hold."""
        return await self.dispatcher(**changes).send_some(self.stage.service.sessions, self.stage.clock)

    @asynccontextmanager
    async def going(self) -> AsyncIterator[asyncio.Task]:
        """Send what is due all the while, over all lanes, as the service does."""
        chore = asyncio.create_task(self.dispatcher().send_due_emails(self.stage.service.sessions, self.stage.clock))
        try:
            yield chore
        finally:
            await stopped(chore)


@pytest_asyncio.fixture
async def post(notifier: Stage, mailbox: Mailbox) -> Post:
    """What carries the stage's emails to the mailbox."""
    return Post(notifier, mailbox)
