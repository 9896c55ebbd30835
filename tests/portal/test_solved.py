"""A requester says that they need no more help."""

import asyncio

import httpx
import pytest

from services.portal.ticket import Message, Ticket
from shared.contracts import ReplyReceived, TicketReopened, TicketSolved
from tests.builders import a_ticket, a_ticket_resolved, a_ticket_updated
from tests.portal.conftest import mailed, reply
from tests.stage import Stage


async def solve(portal: Stage, path: str, **fields: str) -> httpx.Response:
    """Press the button."""
    return await portal.client.post(f"{path}/solved", data={"website": "", **fields})


@pytest.mark.parametrize("status", ["open", "pending"])
async def test_a_ticket_is_marked_as_solved_with_one_button(portal: Stage, status: str) -> None:
    """The page shows it resolved and says who did it; the help desk and the notifier are told."""
    path = await mailed(portal, version=4, status=status)
    assert "Mark as solved" in (await portal.client.get(path)).text
    now = portal.later(minutes=5)

    answer = await solve(portal, path)

    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?solved=yes#solved")
    page = (await portal.client.get(answer.headers["location"])).text
    assert "You marked this ticket as solved." in page
    assert "<bdi>Rita Gómez</bdi> marked this ticket as solved" in page
    assert '<span class="sr-only">Status: </span>Resolved' in page
    assert "Mark as solved" not in page
    (solved,) = await portal.said()
    assert isinstance(solved, TicketSolved)
    assert (solved.previous_status, solved.solved_at) == (status, now)
    assert solved.ticket == a_ticket(version=4, status="resolved")


@pytest.mark.parametrize("status", ["resolved", "closed"])
async def test_what_is_done_has_no_button_and_cannot_be_solved(portal: Stage, status: str) -> None:
    """Whoever sends the form all the same is shown how it stands."""
    path = await mailed(portal, version=4, status=status)
    page = (await portal.client.get(path)).text

    answer = await solve(portal, path)

    assert "Mark as solved" not in page
    assert answer.status_code == 303
    assert await portal.said() == []
    assert (await portal.row(Ticket)).status == status
    after = (await portal.client.get(answer.headers["location"])).text
    assert ("You marked this ticket as solved." in after) is (status == "resolved")


async def test_a_double_click_solves_once(portal: Stage) -> None:
    """Ten forms at the same moment are one message and one event; all of them see the success."""
    path = await mailed(portal)

    answers = await asyncio.gather(*(solve(portal, path) for _ in range(10)))

    assert {answer.headers["location"] for answer in answers} == {f"{path}?solved=yes#solved"}
    assert [type(event) for event in await portal.said()] == [TicketSolved]
    assert len(await portal.rows(Message, kind="system")) == 1


async def test_a_reply_takes_it_back_and_it_can_be_said_again(portal: Stage) -> None:
    """Whatever the requester did last holds, though the help desk has answered none of it."""
    path = await mailed(portal)

    await solve(portal, path)
    page = (await portal.client.get(path)).text
    assert "This ticket is resolved. Your reply opens it again." in page
    await reply(portal, path, "Not quite.")
    assert (await portal.row(Ticket)).status == "open"
    await solve(portal, path)

    assert (await portal.row(Ticket)).status == "resolved"
    assert [type(event) for event in await portal.said()] == [
        TicketSolved,
        ReplyReceived,
        TicketReopened,
        TicketSolved,
    ]


async def test_the_help_desks_answer_wins_and_older_news_do_not(portal: Stage) -> None:
    """A late event does not undo what the requester said."""
    path = await mailed(portal, version=4)
    await solve(portal, path)

    await portal.hears(a_ticket_updated(ticket=a_ticket(version=3, status="open")))
    assert (await portal.row(Ticket)).status == "resolved"
    await portal.hears(a_ticket_resolved(ticket=a_ticket(version=5, status="resolved")))
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=6, status="open")))
    assert (await portal.row(Ticket)).status == "open"


async def test_a_robot_that_fills_the_hidden_field_solves_nothing(portal: Stage) -> None:
    """It is sent to the same address as a person."""
    path = await mailed(portal)

    answer = await solve(portal, path, website="http://spam.example")

    assert answer.headers["location"] == f"{path}?solved=yes#solved"
    assert await portal.said() == []
    assert (await portal.row(Ticket)).status == "open"
    assert "You marked" not in (await portal.client.get(answer.headers["location"])).text


async def test_a_dead_link_solves_nothing_and_leads_to_the_page_that_says_so(portal: Stage) -> None:
    """Whatever was tried as a token is quoted in the address that is led to."""
    for token in ("unknown", "..", "a%0d%0aSet-Cookie:x", "%2f%2fevil.example", "😀"):
        answer = await portal.client.post(f"/t/{token}/solved")

        if answer.status_code == 404:  # an address that no link has
            continue
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/t/")
        assert "\n" not in answer.headers["location"]
        assert (await portal.client.get(answer.headers["location"])).status_code == 404


async def test_looking_at_the_buttons_address_solves_nothing(portal: Stage) -> None:
    """A mail scanner that finds it gets 405."""
    path = await mailed(portal)

    assert (await portal.client.get(f"{path}/solved")).status_code == 405
    assert (await portal.row(Ticket)).status == "open"
