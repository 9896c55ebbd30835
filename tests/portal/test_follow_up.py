"""What a requester says after a survey, as the portal hears it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from services.portal.ticket import Message, Ticket
from shared.contracts import ReplyReceived, Requester, Survey, SurveyFollowUpRequested, TicketReopened
from tests.builders import NOON, a_ticket, a_ticket_resolved, a_ticket_updated, an_account
from tests.stage import Stage


def a_follow_up(**changes: Any) -> SurveyFollowUpRequested:
    """Having rated, Rita wants to talk again."""
    survey = Survey(
        survey_id="s-1",
        ticket_id="T-1",
        resolved_version=3,
        subject="Tent pole broke",
        requester_name="Rita Gómez",
        priority="normal",
        channel="email",
        created_at=NOON,
        expires_at=NOON + timedelta(days=14),
    )
    facts = {"follow_up_id": "follow-up-s-1", "body": "It broke again.", "requested_at": NOON}
    return SurveyFollowUpRequested(**{"account_id": "acme", "survey": survey, **facts, **changes})


async def test_what_a_requester_says_after_a_survey_is_their_reply(portal: Stage) -> None:
    """It stands in the conversation, opens the ticket again and is told to agents, once."""
    await portal.hears(an_account(), a_ticket_resolved())
    await portal.said()

    await portal.hears(a_follow_up(), a_follow_up())
    await portal.hears(a_follow_up())

    received, reopened = await portal.said()
    assert isinstance(received, ReplyReceived)
    assert isinstance(reopened, TicketReopened)
    assert (received.reply_id, received.body, received.reopened) == ("follow-up-s-1", "It broke again.", True)
    assert (reopened.reply_id, reopened.previous_status) == ("follow-up-s-1", "resolved")
    assert (await portal.row(Ticket)).status == "open"
    assert [message.body for message in await portal.rows(Message, kind="requester")] == ["It broke again."]
    assert {message.happening for message in await portal.rows(Message, kind="system")} == {"resolved", "reopened"}


async def test_a_follow_up_that_is_heard_before_the_resolution_waits_for_it(portal: Stage) -> None:
    """Topics give no order between each other; nothing is lost and nothing is dead."""
    await portal.hears(a_follow_up())
    await portal.hears(an_account())
    assert await portal.dead_letters() == ["waits for acme/T-1"]

    await portal.hears(a_ticket_resolved())

    assert await portal.dead_letters() == []
    assert [type(event) for event in await portal.said()] == [ReplyReceived, TicketReopened]


async def test_what_a_requester_says_after_their_ticket_passed_to_another_is_not_that_ones_word(portal: Stage) -> None:
    """Nobody reads it who should not: it is kept for an operator to look at."""
    other = Requester(requester_id="otto", name="Otto", email="otto@customer.example")
    await portal.hears(an_account(), a_ticket_resolved(ticket=a_ticket(version=3, status="resolved", requester=other)))
    await portal.said()

    await portal.hears(a_follow_up(survey=replace(a_follow_up().survey, requester_id="rita")))

    assert await portal.rows(Message, kind="requester") == []
    assert await portal.said() == []
    assert await portal.dead_letters() == ["PassedOn: the survey was another requester's"]


async def test_a_follow_up_about_a_closed_ticket_is_told_and_opens_nothing(portal: Stage) -> None:
    """Closed stays closed, but what somebody took the trouble to write reaches their agent."""
    await portal.hears(an_account(), a_ticket_resolved())
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=4, status="closed")))
    await portal.said()

    await portal.hears(a_follow_up())

    (received,) = await portal.said()
    assert isinstance(received, ReplyReceived)
    assert not received.reopened
    assert (await portal.row(Ticket)).status == "closed"


async def test_a_follow_up_of_long_ago_is_shown_and_opens_nothing(portal: Stage) -> None:
    """A new installation hears of years of them; history is not news."""
    await portal.hears(an_account(), a_ticket_resolved())
    await portal.said()
    portal.later(days=7)

    await portal.hears(a_follow_up())

    assert await portal.said() == []
    assert (await portal.row(Ticket)).status == "resolved"
    assert (await portal.row(Message, kind="requester")).sent_at == NOON
