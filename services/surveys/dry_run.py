"""Whom a policy would have asked about the resolutions that were heard: the same rules, nothing said or stored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import policy, queries
from services.surveys.policy import Known
from shared.contracts import SurveyPolicy
from shared.contracts.survey import SkipReason

Outcome = Literal["asked", "reopened"] | SkipReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A resolution as it was heard. `skipped` is why nobody was asked then, `reopened_at` when it was undone."""

    account_id: str
    ticket_id: str
    version: int
    resolved_at: datetime
    requester_id: str | None = None
    skipped: SkipReason | None = None
    reopened_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known now: who opted out, which tickets were answered, and when each requester was asked before."""

    opted_out: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()
    asked: dict[str, datetime] = field(default_factory=dict)


def outcomes(
    of: SurveyPolicy, resolutions: Iterable[Resolution], known: Circumstances
) -> Iterator[tuple[Resolution, Outcome]]:
    """Tell of each resolution what would have come of it, in the order in which they would have been decided."""
    delay = timedelta(hours=of.delay_hours)
    asked = dict(known.asked)
    for resolution in sorted(resolutions, key=lambda one: (one.resolved_at, one.ticket_id, one.version)):
        due_at = resolution.resolved_at + delay
        outcome = _outcome(of, resolution, known, asked, due_at)
        if outcome == "asked" and resolution.requester_id:
            asked[resolution.requester_id] = due_at
        yield resolution, outcome


def _outcome(
    of: SurveyPolicy, resolution: Resolution, known: Circumstances, asked: dict[str, datetime], due_at: datetime
) -> Outcome:
    if not of.enabled:
        return "disabled"
    if resolution.skipped in {"no_address", "too_old"}:  # no policy changes that
        return resolution.skipped
    if not policy.is_sampled(of, resolution.account_id, resolution.ticket_id, resolution.version):
        return "not_sampled"
    if resolution.reopened_at and resolution.reopened_at < due_at:
        return "reopened"
    requester = resolution.requester_id or ""
    then = Known(
        opted_out=requester in known.opted_out,
        asked_at=asked.get(requester),
        is_answered=resolution.ticket_id in known.answered,
    )
    return policy.objection_when_due(of, then, due_at) or "asked"


async def resolutions_since(since: datetime, account_id: str, session: AsyncSession) -> list[Resolution]:
    """Find what was heard of an account, asked about or not."""
    surveys = (await session.scalars(queries.surveys_since(account_id, since))).all()
    skipped = (await session.scalars(queries.skipped_since(account_id, since))).all()
    found = {
        (survey.ticket_id, survey.resolved_version): Resolution(
            account_id=account_id,
            ticket_id=survey.ticket_id,
            version=survey.resolved_version,
            resolved_at=survey.resolved_at or survey.created_at,
            requester_id=survey.requester_id,
            reopened_at=survey.expired_at if survey.expired_reason == "reopened" else None,
        )
        for survey in surveys
    }
    for row in skipped:
        found[row.ticket_id, row.resolved_version] = Resolution(
            account_id=account_id,
            ticket_id=row.ticket_id,
            version=row.resolved_version,
            resolved_at=row.resolved_at or row.skipped_at,
            requester_id=row.requester_id,
            skipped=row.reason,
        )
    return list(found.values())


async def circumstances(
    resolutions: Sequence[Resolution], since: datetime, account_id: str, session: AsyncSession
) -> Circumstances:
    """Find what the decisions rest on; who was asked within the days looked at is decided anew."""
    requesters = {one.requester_id for one in resolutions if one.requester_id}
    tickets = {one.ticket_id for one in resolutions}
    asked = await session.execute(queries.last_asked_before(account_id, requesters, since))
    return Circumstances(
        opted_out=frozenset(await session.scalars(queries.opted_out(account_id, requesters))),
        answered=frozenset(await session.scalars(queries.answered(account_id, tickets))),
        asked={requester_id: at for requester_id, at in asked if requester_id and at},
    )
