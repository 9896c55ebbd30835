"""Sends due emails: leased before SMTP, settled after it, so that a crash in between sends again rather than never.

A repeat after a crash has the Message-ID of the first, by which mailboxes recognise it. Any number of dispatchers may
run beside each other.
"""

import asyncio
import random
import traceback
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier import queries
from services.notifier.emails import Email
from services.notifier.letters import NotAnAddress, compose
from services.notifier.mail import Connection, Later, MailServer, Never
from services.notifier.tables import Account
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions

POLL_SECONDS = 0.25
LANES = 4
"""Connections to the mail server at a time."""

EMAILS_PER_CONNECTION = 50
"""Servers end a connection after some number of emails, commonly 100."""

LONGEST_WAIT_SECONDS = 10.0
BATCH = 200

EMAILS = Counter(
    "closeloop_emails_total",
    "Tries to send an email: sent, later (will be tried again), failed (will not).",
    ["kind", "outcome"],
)

T = TypeVar("T")

log = structlog.get_logger()


class Dispatcher:
    """Sends what is due, from `sender`, through `server`."""

    def __init__(self, server: MailServer, sender: str) -> None:
        self._server = server
        self._sender = sender

    async def send_due_emails(self, sessions: Sessions, clock: Clock) -> None:
        """Send what is due, now and four times a second; while the server does not answer, every 10 seconds or so."""
        failures = 0
        while True:
            try:
                found = await self.send_some(sessions, clock)
                failures = 0
            except Later as failure:
                failures += 1
                log.warning("mail server fails", reason=str(failure))
                found = False
                longest = min(LONGEST_WAIT_SECONDS, 0.5 * 2**failures)
                await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter
            if not found:
                await asyncio.sleep(POLL_SECONDS)

    async def send_some(self, sessions: Sessions, clock: Clock) -> bool:
        """Send due emails, at most 50 on each connection, and tell whether there were any.

        Raises Later when every connection failed or broke. No more than the emails in hand are put off by that.
        """
        async with sessions.begin() as session:
            await _give_up(session, clock())
            due = await session.scalar(queries.due_count(clock(), LANES)) or 0
        outcomes = await asyncio.gather(
            *(self._send_over_one_connection(sessions, clock) for _ in range(due)), return_exceptions=True
        )
        troubles = [outcome for outcome in outcomes if isinstance(outcome, Later)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and outcome not in troubles:
                raise outcome
        if troubles and len(troubles) == due:
            raise troubles[0]
        return due > 0

    async def _send_over_one_connection(self, sessions: Sessions, clock: Clock) -> None:
        # Connected first: what is not leased loses nothing by a server that does not answer.
        async with self._server.connection() as connection:
            for _ in range(EMAILS_PER_CONNECTION):
                if not await _to_its_end(self._send_next(connection, sessions, clock)):
                    return
                if not connection.is_open:
                    raise Later("connection lost")

    async def _send_next(self, connection: Connection, sessions: Sessions, clock: Clock) -> bool:
        async with sessions.begin() as session:
            row = (await session.execute(queries.next_due(clock()))).first()
            if row is None:
                return False
            email, account = row
            email.lease(clock())
        outcome, reason = await self._try(email, account, connection, clock())
        async with sessions.begin() as session:
            held = await session.scalar(queries.leased(email.id, email.attempts))
            if held is None:  # our lease ran out and somebody else has it in hand
                outcome, reason = "overtaken", None
            elif outcome == "sent":
                held.mark_sent(clock())
            elif outcome == "later":
                held.put_off(reason or "", clock())
            else:
                held.fail(reason or "")
        EMAILS.labels(email.kind, outcome).inc()
        log.info(
            "email tried", outcome=outcome, email_id=str(email.id), kind=email.kind, tries=email.attempts, reason=reason
        )
        return True

    async def _try(
        self, email: Email, account: Account, connection: Connection, now: datetime
    ) -> tuple[str, str | None]:
        try:
            await connection.send(compose(email, account, sender=self._sender, now=now))
        except (Never, NotAnAddress) as failure:
            return "failed", str(failure)
        except Later as failure:
            return "later", str(failure)
        except Exception as failure:  # noqa: BLE001 - a fault of ours in one letter; the others go on
            # Tried again, for the fault may be mended by then. Its place is named, not its text, which may quote
            # the letter.
            place = traceback.extract_tb(failure.__traceback__)[-1]
            return "later", f"{type(failure).__name__} at {Path(place.filename).name}:{place.lineno}"
        return "sent", None


async def _give_up(session: AsyncSession, now: datetime) -> None:
    for email in (await session.scalars(queries.past_use(now, BATCH))).all():
        email.fail(f"too late; before: {email.last_error or 'not tried'}")
        EMAILS.labels(email.kind, "failed").inc()
        log.warning("email given up", email_id=str(email.id), kind=email.kind, tries=email.attempts)


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish the email in hand when the service is told to stop: half-sent, it would go out twice."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
        raise
