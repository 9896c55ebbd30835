"""Topics give no order between each other, Kafka repeats itself, and publishers are late: the state is the same."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.surveys.policy import GRACE
from services.surveys.survey import Survey
from services.surveys.tables import AnsweredTicket, SkippedSurvey, Ticket
from shared.contracts import AccountUpdated, Event, NotificationFailed, SurveyInvited, SurveyPolicy
from tests.builders import (
    a_notification_failed,
    a_reply_sent,
    a_ticket,
    a_ticket_reopened,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.stage import Delivery, Stage, delivery_of
from tests.surveys.test_asking import asks

HISTORY: tuple[Event, ...] = (
    an_account(),
    an_account(version=2, name="Acme Outdoor Ltd"),
    a_ticket_updated(ticket=a_ticket(version=2, status="pending")),
    a_ticket_resolved(ticket=a_ticket(version=3, status="resolved")),
    a_ticket_updated(ticket=a_ticket(version=3, status="resolved")),
    a_ticket_reopened(ticket=a_ticket(version=3, status="open")),
    a_ticket_updated(ticket=a_ticket(version=4, status="open")),
    a_ticket_resolved(ticket=a_ticket(version=5, status="resolved")),
    a_ticket_updated(ticket=a_ticket(version=5, status="resolved")),
    a_ticket_updated(ticket=a_ticket(version=6, status="closed")),
    a_ticket_resolved(ticket=a_ticket(version=3, status="resolved", ticket_id="T-2")),
    a_reply_sent(ticket=a_ticket(version=2)),
    a_reply_sent(ticket=a_ticket(version=2), reply_id="note", visibility="internal"),
)

WAITING = SurveyPolicy(only_after_reply=True, days_between=30, reminder_after_days=3)
"""What it asks for is decided when it is due, by everything that was heard until then."""

DECIDED_LATER: tuple[Event, ...] = (
    *(replace(event, survey_policy=WAITING) if isinstance(event, AccountUpdated) else event for event in HISTORY),
    a_reply_sent(ticket=a_ticket(version=2, ticket_id="T-2"), reply_id="a-2"),
    a_ticket_resolved(ticket=a_ticket(version=3, status="resolved", ticket_id="T-3")),
)

FAILED = (("T-1", 3), ("T-2", 3))
"""Resolutions whose invitations do not arrive. The news names the survey, so it is heard at any time after it."""


async def state(surveys: Stage) -> dict[str, Any]:
    """Everything that the events decide. Not the ids and times that we choose ourselves."""
    return {
        "surveys": sorted(
            (survey.ticket_id, survey.resolved_version, survey.state, survey.expired_reason)
            for survey in await surveys.rows(Survey)
        ),
        "tickets": sorted((ticket.ticket_id, ticket.reopened_through) for ticket in await surveys.rows(Ticket)),
        "skipped": sorted(
            (row.ticket_id, row.resolved_version, row.reason) for row in await surveys.rows(SkippedSurvey)
        ),
        "answered": sorted(row.ticket_id for row in await surveys.rows(AnsweredTicket)),
        "reminded at": sorted(survey.due_at for survey in await surveys.rows(Survey) if survey.due_at),
        "dead letters": await surveys.dead_letters(),
    }


async def failures(surveys: Stage, resolutions: Iterable[tuple[str, int]]) -> list[NotificationFailed]:
    """What the notifier says of the invitations to those surveys that there are by now."""
    ids = {(survey.ticket_id, survey.resolved_version): str(survey.survey_id) for survey in await surveys.rows(Survey)}
    return [
        a_notification_failed(ticket_id=resolution[0], subject_id=ids[resolution])
        for resolution in resolutions
        if resolution in ids
    ]


async def after(surveys: Stage, history: list[Delivery | tuple[str, int]]) -> dict[str, Any]:
    """Hear the history, one batch after the other, and tell the state. What is not asked yet fails at the end."""
    await surveys.clear()
    failed: list[NotificationFailed] = []
    for is_delivery, items in itertools.groupby(history, key=lambda item: isinstance(item, Delivery)):
        batch = list(items)
        if not is_delivery:
            batch = await failures(surveys, batch)
            failed += batch
        await surveys.hears(*batch)
    await surveys.hears(*(event for event in await failures(surveys, FAILED) if event not in failed))
    asked = [event.survey_id for event in await surveys.said() if isinstance(event, SurveyInvited)]
    assert len(asked) == len(set(asked))
    return await state(surveys)


@pytest.mark.timeout(300)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
async def test_any_order_duplication_and_delay_ends_in_the_same_state(surveys: Stage, data: st.DataObject) -> None:
    """Handlers commute: what arrives decides, not when."""
    deliveries = [delivery_of(event) for event in HISTORY]
    history = [*deliveries, *FAILED]
    in_order = await after(surveys, history)

    repeats = data.draw(st.lists(st.sampled_from(history), max_size=8), label="repeats")
    shuffled = data.draw(st.permutations([*history, *repeats]), label="order")

    assert await after(surveys, shuffled) == in_order
    assert in_order["surveys"] == [
        ("T-1", 3, "expired", "reopened"),
        ("T-1", 5, "pending", None),
        ("T-2", 3, "expired", "undeliverable"),
    ]


async def after_all_is_decided(surveys: Stage, history: list[Delivery]) -> dict[str, Any]:
    """Hear the history, let time pass until what waits is due, and tell what was decided."""
    await surveys.clear()
    await surveys.hears(*history)
    surveys.clock.now += GRACE
    await asks(surveys)
    return await state(surveys)


@pytest.mark.timeout(300)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
async def test_what_is_decided_later_is_decided_the_same_in_any_order(surveys: Stage, data: st.DataObject) -> None:
    """A reply heard after the resolution it came before, one requester's tickets heard in turn or not."""
    history = [delivery_of(event) for event in DECIDED_LATER]
    in_order = await after_all_is_decided(surveys, history)

    repeats = data.draw(st.lists(st.sampled_from(history), max_size=8), label="repeats")
    shuffled = data.draw(st.permutations([*history, *repeats]), label="order")

    assert await after_all_is_decided(surveys, shuffled) == in_order
    assert in_order["surveys"] == [
        ("T-1", 3, "expired", "reopened"),
        ("T-1", 5, "pending", None),
        ("T-2", 3, "expired", "skipped"),
        ("T-3", 3, "expired", "skipped"),
    ]
    assert in_order["skipped"] == [("T-2", 3, "asked_recently"), ("T-3", 3, "no_reply")]
