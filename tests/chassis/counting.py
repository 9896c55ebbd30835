"""A service as small as one can be: it counts what it hears and says that it did."""

from collections.abc import Sequence
from datetime import datetime

from litestar import Litestar
from sqlalchemy import MetaData, Text, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis import health
from shared.chassis.clock import Clock
from shared.chassis.dead_letters import Awaits
from shared.chassis.kafka import EventRouter
from shared.chassis.lifecycle import Service
from shared.chassis.outbox import emit
from shared.chassis.settings import Settings
from shared.contracts import AccountUpdated, TicketCreated, TicketResolved, TicketUpdated


class Table(DeclarativeBase):
    """The counting service's own tables."""

    metadata = MetaData()


class Heard(Table):
    """One row for each effect."""

    __tablename__ = "heard"

    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)


events = EventRouter()
failing: dict[str, list[Exception]] = {}
"""What the handler raises next for a ticket's subject."""


@events.on(TicketUpdated)
async def count(updated: TicketUpdated, session: AsyncSession, now: datetime) -> None:
    """Count an update, unless a test told it to fail."""
    session.add(Heard(topic=updated.topic, what=updated.ticket.subject))
    emit(session, TicketResolved(account_id=updated.account_id, ticket=updated.ticket, resolved_at=now))
    await session.flush()
    if failing.get(updated.ticket.subject):
        raise failing[updated.ticket.subject].pop()


batches: list[list[str]] = []
"""What the handler of many was given each time, by the tickets' subjects."""


@events.on_batch(TicketCreated)
async def count_together(created: Sequence[TicketCreated], session: AsyncSession, now: datetime) -> None:
    """Count new tickets, unless a test told it to fail, or to wait for the account `late`."""
    batches.append([each.ticket.subject for each in created])
    session.add_all(Heard(topic=each.topic, what=each.ticket.subject) for each in created)
    await session.flush()
    for each in created:
        if failing.get(each.ticket.subject):
            raise failing[each.ticket.subject].pop()
        if each.account_id == "late":
            known = await session.scalar(select(Heard).filter_by(topic="account.updated", what=each.account_id))
            if known is None:
                raise Awaits(each.account_id)


@events.on(AccountUpdated, awaited=True)
async def know(updated: AccountUpdated, session: AsyncSession, now: datetime) -> None:
    """Remember an account."""
    session.add(Heard(topic=updated.topic, what=updated.account_id))


@events.on(TicketResolved)
async def count_of_known_account(resolved: TicketResolved, session: AsyncSession, now: datetime) -> None:
    """Count a resolution of an account that was told of."""
    known = await session.scalar(select(Heard).filter_by(topic="account.updated", what=resolved.account_id))
    if known is None:
        raise Awaits(resolved.account_id)
    session.add(Heard(topic=resolved.topic, what=resolved.ticket.subject))


def create_service(settings: Settings, clock: Clock, name: str = "counting") -> Service:
    """Make the counting service."""
    return Service(name=name, settings=settings, events=events, clock=clock)


def create_app(service: Service) -> Litestar:
    """Make an app that only knows whether it is well."""
    return Litestar(list(health.ROUTES), state=service.state, lifespan=[service.running], logging_config=None)
