"""SELECTs with names."""

from datetime import datetime

from sqlalchemy import Select, Text, cast, or_, select

from services.surveys.survey import Survey
from shared.public_pages.access_links import digest


def survey_behind(token: str) -> Select[Survey]:
    """Find the survey a link opens."""
    return select(Survey).where(Survey.link_digest == digest(token))


def survey_of(account_id: str, ticket_id: str, resolved_version: int) -> Select[Survey]:
    """Find the survey of one resolution."""
    return select(Survey).filter_by(account_id=account_id, ticket_id=ticket_id, resolved_version=resolved_version)


def survey_named(account_id: str, ticket_id: str, survey_id: str) -> Select[Survey]:
    """Find a ticket's survey by the id that others know it by, locked."""
    return (
        select(Survey)
        .filter_by(account_id=account_id, ticket_id=ticket_id)
        .where(cast(Survey.survey_id, Text) == survey_id)
        .with_for_update()
    )


def undone_surveys(account_id: str, ticket_id: str, reopened_through: int) -> Select[Survey]:
    """Find the surveys that can still be answered and whose resolution was undone, locked."""
    return (
        select(Survey)
        .filter_by(account_id=account_id, ticket_id=ticket_id)
        .where(
            or_(Survey.state == "pending", Survey.expired_reason == "undeliverable"),
            Survey.resolved_version <= reopened_through,
        )
        .order_by(Survey.resolved_version)
        .with_for_update()
    )


def overdue_surveys(now: datetime, limit: int) -> Select[Survey]:
    """Find pending surveys past their time, locked; those another replica holds are left to it."""
    return (
        select(Survey)
        .where(Survey.state == "pending", Survey.expires_at <= now)
        .order_by(Survey.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
