"""Who is asked about a resolution, and when. Rules only: told what is known and what time it is.

What cannot change any more is decided when the resolution is heard. The rest is decided when the time to ask has come,
by what is known then, so that the order in which events arrive does not matter.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts import SurveyPolicy, TicketResolved
from shared.contracts.survey import SkipReason

GRACE = timedelta(minutes=5)
"""How long a decision waits that rests on other topics: the reply an agent sent just before may be heard just after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a requester and their ticket when the time to ask has come.

    `asked_at`: when the account asked them last, about whatever ticket. `is_answered`: an agent replied publicly.
    """

    opted_out: bool = False
    asked_at: datetime | None = None
    is_answered: bool = False


def objection_for_good(policy: SurveyPolicy, resolved: TicketResolved, now: datetime) -> SkipReason | None:
    """Tell why nobody is ever asked about a resolution, as far as it can be told when it is heard."""
    if not policy.enabled:
        return "disabled"
    # A new installation hears the help desk's whole history; nobody wants to be asked about last year.
    if now - resolved.resolved_at >= timedelta(hours=policy.delay_hours, days=policy.expires_after_days):
        return "too_old"
    if not resolved.ticket.requester.email:
        return "no_address"
    if not is_sampled(policy, resolved.account_id, resolved.ticket.ticket_id, resolved.ticket.version):
        return "not_sampled"
    return None


def objection_when_due(policy: SurveyPolicy, known: Known, now: datetime) -> SkipReason | None:
    """Tell why a requester is not asked now, after all."""
    if not policy.enabled:
        return "disabled"
    if known.opted_out:
        return "opted_out"
    if policy.only_after_reply and not known.is_answered:
        return "no_reply"
    if known.asked_at and now - known.asked_at < timedelta(days=policy.days_between):
        return "asked_recently"
    return None


def may_remind(policy: SurveyPolicy, known: Known, expires_at: datetime, now: datetime) -> bool:
    """Tell whether somebody who has not answered is asked once more."""
    return policy.enabled and policy.reminder_after_days is not None and not known.opted_out and now < expires_at


def rests_on_others(policy: SurveyPolicy) -> bool:
    """Tell whether other tickets or other topics decide, so that it matters what has been heard by then."""
    return policy.only_after_reply or policy.days_between > 0


def due_at(policy: SurveyPolicy, resolved: TicketResolved, now: datetime) -> datetime:
    """Tell when to ask, `now` being when the resolution is heard."""
    earliest = now + GRACE if rests_on_others(policy) else now
    # A help desk whose clock is ahead resolves nothing later than now.
    return max(min(resolved.resolved_at, now) + timedelta(hours=policy.delay_hours), earliest)


def remind_at(policy: SurveyPolicy, asked_at: datetime, expires_at: datetime) -> datetime | None:
    """Tell when to ask once more; None when not, or when it would be too late to answer."""
    if policy.reminder_after_days is None:
        return None
    at = asked_at + timedelta(days=policy.reminder_after_days)
    return at if at < expires_at else None


def is_sampled(policy: SurveyPolicy, account_id: str, ticket_id: str, version: int) -> bool:
    """Tell whether a resolution is among those asked about. Nobody throws a die: whoever asks again gets the same."""
    name = "".join(f"{len(part)}:{part}" for part in (account_id, ticket_id, str(version)))
    drawn = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8])
    return drawn % 100 < policy.sample_percent
