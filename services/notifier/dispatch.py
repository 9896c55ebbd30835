"""Sends due emails: leased before SMTP, settled after it, so that a crash in between sends again rather than never.

A repeat after a crash has the Message-ID of the first, by which mailboxes recognise it, and is counted. Any number of
dispatchers may run beside each other.
"""

import asyncio
import random
import traceback
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog
from opentelemetry.trace import SpanKind
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier import queries
from services.notifier.emails import Email
from services.notifier.failures import fail
from services.notifier.letters import NotAnAddress, compose
from services.notifier.mail import Connection, Later, MailServer, Never
from services.notifier.tables import Account
from shared.chassis import tracing
from shared.chassis.clock import Clock
from shared.chassis.database import Sessions, is_outage
from shared.chassis.telemetry import count_when_committed
from shared.chassis.tenancy import transaction_of

LANES = 4
"""Connections to the mail server at a time."""

POLL_SECONDS = 1.0
"""How often each idle lane looks. They start a share of it apart, so together they look more often."""

EMAILS_PER_CONNECTION = 50
"""Servers end a connection after some number of emails, commonly 100."""

LONGEST_WAIT_SECONDS = 10.0
SETTLE_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between tries to settle an email while the database is down; together well within what a lease has left."""

BATCH = 200

HOUR = timedelta(hours=1)

EMAILS = Counter(
    "closeloop_emails_total",
    "Tries to send an email: sent, later (will be tried again), failed (will not), overtaken (another try settled it).",
    ["kind", "outcome"],
)
FLOODED = Counter(
    "closeloop_emails_flooding_total",
    "Emails put off since their recipient has got as many as one may within an hour.",
    ["kind"],
)
POSSIBLY_REPEATED = Counter(
    "closeloop_emails_possibly_repeated_total",
    "Emails tried again although the mail server may have taken them: the try before was never settled, because the"
    " process died, the database stayed away or the connection broke. The repeat has the same Message-ID.",
    ["kind"],
)

T = TypeVar("T")

log = structlog.get_logger()


class Dispatcher:
    """Sends what is due, from `sender`, through `server`, to one address at most `per_hour` emails within an hour."""

    def __init__(self, server: MailServer, sender: str, per_hour: int) -> None:
        self._server = server
        self._sender = sender
        self._per_hour = per_hour

    async def send_due_emails(self, sessions: Sessions, clock: Clock) -> None:
        """Send what is due, until cancelled, over LANES connections. One that hangs holds up no other.

        While the mail server or the database does not answer, each tries again every 10 seconds or so.
        """
        async with asyncio.TaskGroup() as lanes:
            for lane in range(LANES):
                lanes.create_task(self._keep_sending(sessions, clock, after=lane * POLL_SECONDS / LANES))

    async def _keep_sending(self, sessions: Sessions, clock: Clock, *, after: float) -> None:
        await asyncio.sleep(after)
        failures = 0
        lane = asyncio.current_task()
        while not (lane and lane.cancelling()):  # a library may take the cancellation for its own
            try:
                found = await self.send_some(sessions, clock)
                failures = 0
            except Exception as failure:
                if not isinstance(failure, Later) and not is_outage(failure):
                    raise
                failures += 1
                if failures == 1:
                    reason = str(failure) if isinstance(failure, Later) else type(failure).__name__
                    log.warning("emails wait", reason=reason)
                found = False
                longest = min(LONGEST_WAIT_SECONDS, 0.5 * 2 ** min(failures, 10))
                await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - jitter
            if not found:
                await asyncio.sleep(POLL_SECONDS)

    async def send_some(self, sessions: Sessions, clock: Clock) -> bool:
        """Send due emails over one connection, at most 50, and tell whether there were any.

        Raises Later when the connection failed or broke. No more than the email in hand is put off by that.
        """
        async with sessions.begin() as session:
            await _fail_the_hopeless(session, clock())
            if not await session.scalar(queries.any_due(clock())):
                return False
        # Connected first: what is not leased loses nothing by a server that does not answer.
        async with self._server.connection() as connection:
            for _ in range(EMAILS_PER_CONNECTION):
                if not await _to_its_end(self._send_next(connection, sessions, clock)):
                    break
                if not connection.is_open:
                    raise Later("connection lost")
        return True

    async def _send_next(self, connection: Connection, sessions: Sessions, clock: Clock) -> bool:
        async with sessions.begin() as session:
            row = (await session.execute(queries.next_due(clock()))).first()
            if row is None:
                return False
            email, account = row
            if not await self._gives_slot(email, session, clock()):
                count_when_committed(FLOODED.labels(email.kind), session)
                return True
            if email.lease():
                count_when_committed(POSSIBLY_REPEATED.labels(email.kind), session)
        with tracing.span(f"send {email.kind}", SpanKind.CLIENT, parent=email.traceparent) as span:
            failure = await self._try(email, account, connection, clock())
            if failure:
                tracing.failed(span, failure)
        outcome = await _settle_at_last(email, failure, sessions, clock)
        EMAILS.labels(email.kind, outcome).inc()
        log.info(
            "email tried",
            outcome=outcome,
            email_id=str(email.id),
            kind=email.kind,
            tries=email.attempts,
            reason=str(failure) if failure else None,
        )
        return True

    async def _gives_slot(self, email: Email, session: AsyncSession, now: datetime) -> bool:
        """Let an email have its turn now, or when its address may get one more. Nobody else decides about it then."""
        await session.execute(queries.one_at_a_time(email))
        so_far, promised = (await session.execute(queries.slots_taken(email, self._per_hour, now))).one()
        if so_far is None or so_far <= now - HOUR:
            email.slot_at = now
            return True
        email.wait_for_slot(promised + HOUR)
        return False

    async def _try(
        self, email: Email, account: Account, connection: Connection, now: datetime
    ) -> Later | Never | NotAnAddress | None:
        """Send an email, or tell why it could not be."""
        try:
            await connection.send(compose(email, account, sender=self._sender, now=now))
        except (Later, Never, NotAnAddress) as failure:
            return failure
        except Exception as failure:  # noqa: BLE001 - a fault of ours in one letter; the others go on
            # Tried again, for the fault may be mended by then. Its place is named, not its text, which may quote
            # the letter.
            place = traceback.extract_tb(failure.__traceback__)[-1]
            return Later(f"{type(failure).__name__} at {Path(place.filename).name}:{place.lineno}")
        return None


async def _settle_at_last(
    email: Email, failure: Later | Never | NotAnAddress | None, sessions: Sessions, clock: Clock
) -> str:
    """Write down what became of an email, also when the database is away for a moment: else it would go out twice."""
    for seconds in SETTLE_WAITS:
        try:
            return await _settle(email, failure, sessions, clock())
        except Exception as trouble:
            if not is_outage(trouble):
                raise
            log.warning("email not settled yet", email_id=str(email.id), reason=type(trouble).__name__)
            await asyncio.sleep(seconds)
    return await _settle(email, failure, sessions, clock())


async def _settle(email: Email, failure: Later | Never | NotAnAddress | None, sessions: Sessions, now: datetime) -> str:
    async with transaction_of(email.account_id, sessions) as session:
        held = await session.scalar(queries.leased(email.id, email.attempts))
        if held is None:  # our lease ran out and somebody else has it in hand
            return "overtaken"
        match failure:
            case None:
                held.mark_sent(now)
                return "sent"
            case Later():
                held.put_off(str(failure), now, unsettled=failure.unsettled)
                return "later"
            case Never():
                await fail(session, held, "bounced", now, error=str(failure), code=failure.code)
            case NotAnAddress():
                await fail(session, held, "unwritable", now, error=str(failure))
        return "failed"


async def _fail_the_hopeless(session: AsyncSession, now: datetime) -> None:
    """Fail what is too late to be of use, and what goes to an address that does not exist."""
    for email in (await session.scalars(queries.past_use(now, BATCH))).all():
        await fail(session, email, "gave_up", now, error=f"too late; before: {email.last_error or 'not tried'}")
        _count_given_up(email, session)
    for email, code in (await session.execute(queries.suppressed(BATCH))).all():
        await fail(session, email, "suppressed", now, error=f"address suppressed: {code}", code=code)
        _count_given_up(email, session)


def _count_given_up(email: Email, session: AsyncSession) -> None:
    count_when_committed(EMAILS.labels(email.kind, "failed"), session)
    log.warning(
        "email given up", email_id=str(email.id), kind=email.kind, tries=email.attempts, reason=email.failed_reason
    )


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
