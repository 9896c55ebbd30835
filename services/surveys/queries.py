"""SELECTs with names."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Select, Text, cast, func, or_, select

from services.surveys.survey import Survey
from services.surveys.tables import AnsweredTicket, OptOut, SkippedSurvey
from shared.public_pages.access_links import digest

_REQUESTERS = 0x61736B  # "ask", any number that no other advisory lock of ours uses


def survey_behind(token: str) -> Select[Survey]:
    """Find the survey a link opens."""
    return select(Survey).where(Survey.link_digest == digest(token))


def survey_behind_opt_out(token: str) -> Select[Survey]:
    """Find the survey whose email had a link not to be asked any more."""
    return select(Survey).where(Survey.opt_out_digest == digest(token))


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


def next_due(now: datetime) -> Select[Survey]:
    """Find the survey whose requester is to be asked, or asked once more, and longest; locked, others' left to them."""
    return (
        select(Survey)
        .where(Survey.due_at <= now)
        # Of those due at one moment always the same one goes first, whichever was heard first.
        .order_by(Survey.due_at, Survey.ticket_id, Survey.resolved_version)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def one_at_a_time(account_id: str, requester_id: str) -> Select:
    """Wait until nobody else decides about this requester, and keep others waiting until the transaction ends."""
    name = f"{len(account_id)}:{account_id}{requester_id}"
    return select(func.pg_advisory_xact_lock(func.hashtextextended(name, _REQUESTERS)))


def last_asked(account_id: str, requester_id: str) -> Select[datetime | None]:
    """Find when a requester was asked last; an invitation that did not arrive asked nobody."""
    return (
        select(func.max(Survey.invited_at))
        .filter_by(account_id=account_id, requester_id=requester_id)
        .where(Survey.expired_reason.is_distinct_from("undeliverable"))
    )


def overdue_surveys(now: datetime, limit: int) -> Select[Survey]:
    """Find surveys past their time, locked, but those that wait to be asked; another replica's are left to it."""
    asked = or_(Survey.invited_at.is_not(None), Survey.due_at.is_(None))  # or never will be
    return (
        select(Survey)
        .where(Survey.state == "pending", Survey.expires_at <= now, asked)
        .order_by(Survey.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


def surveys_since(account_id: str, since: datetime) -> Select[Survey]:
    """List an account's surveys made since then."""
    return select(Survey).filter_by(account_id=account_id).where(Survey.created_at >= since)


def skipped_since(account_id: str, since: datetime) -> Select[SkippedSurvey]:
    """List about which resolutions nobody was asked, newest first."""
    return (
        select(SkippedSurvey)
        .filter_by(account_id=account_id)
        .where(SkippedSurvey.skipped_at >= since)
        .order_by(SkippedSurvey.skipped_at.desc(), SkippedSurvey.ticket_id)
    )


def last_asked_before(
    account_id: str, requesters: Collection[str], moment: datetime
) -> Select[str | None, datetime | None]:
    """Find when each of some requesters was asked last before a moment."""
    return (
        select(Survey.requester_id, func.max(Survey.invited_at))
        .where(
            Survey.account_id == account_id,
            Survey.requester_id.in_(requesters),
            Survey.invited_at < moment,
            Survey.expired_reason.is_distinct_from("undeliverable"),
        )
        .group_by(Survey.requester_id)
    )


def opted_out(account_id: str, requesters: Collection[str]) -> Select[str]:
    """Find which of some requesters want no surveys."""
    return select(OptOut.requester_id).filter_by(account_id=account_id).where(OptOut.requester_id.in_(requesters))


def answered(account_id: str, tickets: Collection[str]) -> Select[str]:
    """Find which of some tickets an agent has answered."""
    return (
        select(AnsweredTicket.ticket_id).filter_by(account_id=account_id).where(AnsweredTicket.ticket_id.in_(tickets))
    )
