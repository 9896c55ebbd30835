"""SELECTs with names."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import undefer

from services.notifier.emails import Email
from services.notifier.tables import Account


def due_count(now: datetime, limit: int) -> Select[int]:
    """Count the emails that are due, up to `limit`."""
    due = select(Email.id).where(Email.state == "queued", Email.due_at <= now).limit(limit)
    return select(func.count()).select_from(due.subquery())


def next_due(now: datetime) -> Select[Email, Account]:
    """Find the email that is due longest, locked, with its account; those others hold are left to them."""
    return (
        select(Email, Account)
        .join(Account, Account.account_id == Email.account_id)
        .where(Email.state == "queued", Email.due_at <= now)
        .order_by(Email.due_at)
        .limit(1)
        .options(undefer(Account.logo))
        .with_for_update(of=Email, skip_locked=True)
    )


def leased(email_id: UUID, attempt: int) -> Select[Email]:
    """Find an email for as long as nobody has settled or leased it since our `attempt` began, locked."""
    return select(Email).filter_by(id=email_id, state="queued", attempts=attempt).with_for_update()


def past_use(now: datetime, limit: int) -> Select[Email]:
    """Find emails that nobody is sending and that are too late to be of use, locked."""
    return (
        select(Email)
        .where(Email.state == "queued", Email.due_at <= now, Email.give_up_at <= now)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
