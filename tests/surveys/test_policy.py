"""Who is asked, and when: the rules alone."""

from datetime import timedelta
from typing import Any

import pytest

from services.surveys import policy
from services.surveys.policy import GRACE, Known
from shared.contracts import SurveyPolicy, SurveyReason, SurveyWording
from tests.builders import NOON, a_ticket, a_ticket_resolved


def a_policy(**changes: Any) -> SurveyPolicy:
    """What an account decided; everything else as it was before there was anything to decide."""
    return SurveyPolicy(**changes)


def test_without_a_word_everybody_is_asked_at_once_and_never_reminded() -> None:
    """The defaults are what there was before policies."""
    resolved = a_ticket_resolved()

    assert policy.objection_for_good(a_policy(), resolved, NOON) is None
    assert policy.objection_when_due(a_policy(), Known(asked_at=NOON), NOON) is None
    assert policy.due_at(a_policy(), resolved, NOON) == NOON
    assert policy.remind_at(a_policy(), NOON, NOON + timedelta(days=14)) is None


@pytest.mark.parametrize(
    ("changes", "known", "reason"),
    [
        ({"enabled": False}, {"opted_out": True}, "disabled"),
        ({"only_after_reply": True}, {"opted_out": True}, "opted_out"),
        ({"only_after_reply": True, "days_between": 30}, {"asked_at": NOON}, "no_reply"),
        ({"only_after_reply": True, "days_between": 30}, {"is_answered": True, "asked_at": NOON}, "asked_recently"),
        ({"only_after_reply": True, "days_between": 30}, {"is_answered": True}, None),
        ({"days_between": 30}, {"asked_at": NOON - timedelta(days=30)}, None),
        ({"days_between": 30}, {"asked_at": NOON - timedelta(days=30) + timedelta(seconds=1)}, "asked_recently"),
    ],
)
def test_there_is_one_reason_not_to_ask_always_the_same(changes: dict, known: dict, reason: str | None) -> None:
    """Where several speak against it, the account's own decision comes first, then the requester's."""
    assert policy.objection_when_due(a_policy(**changes), Known(**known), NOON) == reason


def test_a_delay_counts_from_the_resolution_and_not_from_when_it_is_heard() -> None:
    """A service that was down for an hour asks no later; one that was down for a day asks at once."""
    resolved = a_ticket_resolved()

    delayed = a_policy(delay_hours=24)

    assert policy.due_at(delayed, resolved, NOON + timedelta(hours=1)) == NOON + timedelta(hours=24)
    assert policy.due_at(delayed, resolved, NOON + timedelta(hours=30)) == NOON + timedelta(hours=30)
    assert policy.due_at(a_policy(), a_ticket_resolved(resolved_at=NOON + timedelta(hours=2)), NOON) == NOON


@pytest.mark.parametrize("changes", [{"only_after_reply": True}, {"days_between": 1}])
def test_a_decision_that_rests_on_other_events_waits_for_those_that_are_late(changes: dict) -> None:
    """The reply that an agent sent a moment before may be heard a moment after."""
    assert policy.due_at(a_policy(**changes), a_ticket_resolved(), NOON) == NOON + GRACE
    assert policy.due_at(a_policy(delay_hours=1, **changes), a_ticket_resolved(), NOON) == NOON + timedelta(hours=1)


def test_a_delayed_survey_is_too_old_that_much_later() -> None:
    """What can still be answered is asked."""
    delayed = a_policy(delay_hours=24, expires_after_days=1)

    assert policy.objection_for_good(delayed, a_ticket_resolved(), NOON + timedelta(hours=47)) is None
    assert policy.objection_for_good(delayed, a_ticket_resolved(), NOON + timedelta(hours=48)) == "too_old"


def test_a_sample_is_the_same_whoever_draws_it_and_of_the_size_it_should_have() -> None:
    """A replay decides as before; nobody who is asked at 20 percent is not asked at 60."""

    def drawn(percent: int) -> set[int]:
        return {n for n in range(2000) if policy.is_sampled(a_policy(sample_percent=percent), "acme", f"T-{n}", 3)}

    assert drawn(0) == set()
    assert len(drawn(100)) == 2000
    assert drawn(20) == drawn(20) < drawn(60)
    assert 320 < len(drawn(20)) < 480
    assert policy.objection_for_good(a_policy(sample_percent=0), a_ticket_resolved(), NOON) == "not_sampled"


def test_each_resolution_and_each_account_draws_anew() -> None:
    """Who was not drawn once may be drawn the next time."""
    half = a_policy(sample_percent=50)

    assert len({policy.is_sampled(half, "acme", "T-1", version) for version in range(50)}) == 2
    assert len({policy.is_sampled(half, f"account {n}", "T-1", 3) for n in range(50)}) == 2


def test_nobody_is_reminded_of_what_is_over() -> None:
    """A reminder comes while there is something to answer."""
    reminding = a_policy(reminder_after_days=3)

    assert policy.remind_at(reminding, NOON, NOON + timedelta(days=14)) == NOON + timedelta(days=3)
    assert policy.remind_at(reminding, NOON, NOON + timedelta(days=3)) is None
    assert policy.may_remind(reminding, Known(), NOON + timedelta(days=1), NOON)
    assert not policy.may_remind(reminding, Known(), NOON, NOON)
    assert not policy.may_remind(reminding, Known(opted_out=True), NOON + timedelta(days=1), NOON)
    assert not policy.may_remind(a_policy(), Known(), NOON + timedelta(days=1), NOON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay_hours": -1},
        {"delay_hours": 721},
        {"days_between": 366},
        {"sample_percent": 101},
        {"reminder_after_days": 0},
        {"reminder_after_days": 14},
        {"reasons": [SurveyReason(code="a", text={"en": "A"})] * 2},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict) -> None:
    """A publisher learns of its mistake."""
    with pytest.raises(ValueError, match=r".+"):
        a_policy(**wrong)


@pytest.mark.parametrize("text", ["", "  ", "x" * 301, "a\0b"])
def test_words_that_cannot_be_shown_are_refused(text: str) -> None:
    """Neither a heading nor a reason is empty, or longer than a page has room for."""
    with pytest.raises(ValueError, match="characters"):
        SurveyWording(heading=text)
    with pytest.raises(ValueError, match="characters"):
        SurveyReason(code="a", text={"en": text})


def test_the_resolution_of_a_requester_without_an_address_is_not_asked_about() -> None:
    """Who cannot be reached is not asked, whatever the policy."""
    requester = type(a_ticket().requester)(requester_id="x", name="X")
    nowhere = a_ticket_resolved(ticket=a_ticket(version=3, status="resolved", requester=requester))

    assert policy.objection_for_good(a_policy(), nowhere, NOON) == "no_address"
