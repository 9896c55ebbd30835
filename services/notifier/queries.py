"""SELECTs with names."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, or_, select
from sqlalchemy.orm import undefer

from services.notifier.emails import Email
from services.notifier.tables import Account, Suppression

_SUPPRESSED = and_(Suppression.account_id == Email.account_id, Suppression.address == Email.address)

_IN_NO_HAND = or_(Email.held_until.is_(None), Email.held_until <= func.now())

_ADDRESSES = 0x61646472  # "addr", any number that no other advisory lock of ours uses


def _due(now: datetime) -> ColumnElement[bool]:
    """Match what waits to be sent and nobody has in hand."""
    return and_(Email.state == "queued", Email.due_at <= now, _IN_NO_HAND)


def any_due(now: datetime) -> Select[bool]:
    """Tell whether an email is due."""
    return select(exists().where(_due(now)))


def next_due(now: datetime) -> Select[Email, Account]:
    """Find the email that is due longest, locked, with its account; those others hold are left to them."""
    return (
        select(Email, Account)
        .join(Account, Account.account_id == Email.account_id)
        .where(_due(now), not_(exists().where(_SUPPRESSED)))
        .order_by(Email.due_at)
        .limit(1)
        .options(undefer(Account.logo))
        .with_for_update(of=Email, skip_locked=True)
    )


def one_at_a_time(email: Email) -> Select:
    """Wait until nobody else decides about an email to this address, and keep others waiting for the transaction."""
    return select(func.pg_advisory_xact_lock(func.hashtextextended(email.address, _ADDRESSES)))


def slots_taken(email: Email, per_hour: int, now: datetime) -> Select:
    """Find when so many of the other emails to an address had their slot, or will, the newest first.

    Of those whose slot has come, and of all. None where there are fewer.
    """
    others = (
        select(Email.slot_at)
        .where(Email.address == email.address, Email.slot_at.is_not(None), Email.id != email.id)
        .order_by(Email.slot_at.desc())
        .offset(per_hour - 1)
        .limit(1)
    )
    return select(others.where(Email.slot_at <= now).scalar_subquery(), others.scalar_subquery())


def waiting_for_slots(now: datetime) -> Select:
    """Count the emails whose recipients have got enough for now, and those recipients."""
    return select(func.count(), func.count(Email.address.distinct())).where(
        Email.state == "queued", Email.due_at > now, Email.slot_at > now
    )


def leased(email_id: UUID, attempt: int) -> Select[Email]:
    """Find an email for as long as nobody has settled or leased it since our `attempt` began, locked."""
    return select(Email).filter_by(id=email_id, state="queued", attempts=attempt).with_for_update()


def past_use(now: datetime, limit: int) -> Select[Email]:
    """Find emails that nobody is sending and that are too late to be of use, locked."""
    return select(Email).where(_due(now), Email.give_up_at <= now).limit(limit).with_for_update(skip_locked=True)


def suppressed(limit: int) -> Select[Email, str]:
    """Find queued emails, due or not, that nobody is sending and whose address is suppressed, locked; and the code."""
    return (
        select(Email, Suppression.code)
        .join(Suppression, _SUPPRESSED)
        .where(Email.state == "queued", _IN_NO_HAND)
        .limit(limit)
        .with_for_update(of=Email, skip_locked=True)
    )


def backlog(now: datetime) -> Select:
    """Count what is queued, and find since when the email that is due longest has been due."""
    return select(func.count(), func.min(Email.due_at).filter(_due(now))).where(Email.state == "queued")


def suppressions() -> Select[Suppression]:
    """List what is suppressed, oldest first."""
    return select(Suppression).order_by(Suppression.suppressed_at, Suppression.address, Suppression.account_id)
