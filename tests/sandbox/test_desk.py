"""What the demo help desk makes of what requesters say, as any help desk would have to."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from uuid_utils.compat import uuid7

from deploy.postgres.embedded import PostgresServer
from deploy.sandbox.desk import app, work
from deploy.sandbox.desk.demo import AGENTS
from deploy.sandbox.desk.settings import Settings
from deploy.sandbox.desk.tables import Account, DeskTicket, Mail, Message
from shared.contracts import (
    Event,
    ReasonGiven,
    RequesterErased,
    RequesterForgotten,
    SurveySubmitted,
    Ticket,
    TicketResolved,
    TicketUpdated,
)
from tests.builders import NOON, RITA, a_ticket_reopened, a_ticket_solved, an_account
from tests.reports.told import a_survey, submitted
from tests.stage import Stage, staged


@pytest_asyncio.fixture(scope="module")
async def desk_stage(postgres_server: PostgresServer) -> AsyncIterator[Stage]:
    """The desk, once for all tests."""
    async with staged(postgres_server, name="desk", settings=Settings, app=app) as stage:
        yield stage


@pytest_asyncio.fixture
async def desk(desk_stage: Stage) -> Stage:
    """The desk without tickets, at noon."""
    await desk_stage.clear()
    return desk_stage


def a_low_rating(ticket: Ticket) -> SurveySubmitted:
    """Rita was not happy with it."""
    survey = a_survey(ticket_id=ticket.ticket_id)
    reason = ReasonGiven(code="slow", text="Too slow")
    return submitted(survey, 1, account_id="fjord", comment="words about it", reason=reason)


async def a_ticket_of(desk: Stage, status: str):
    """Open a ticket of Rita's that stands so."""
    async with desk.service.sessions.begin() as session:
        await session.merge(Account(account_id="fjord", facts=an_account(account_id="fjord")))
        ticket = await work.create_ticket(
            session,
            NOON,
            account_id="fjord",
            subject="Pole",
            description="",
            requester=RITA,
            assignee=AGENTS["fjord"][0],
        )
        if status != "open":
            work.set_status(ticket, status, AGENTS["fjord"][0], session, NOON)
    await desk.said()
    return ticket.snapshot


async def status_of(desk: Stage) -> str:
    """How the ticket stands."""
    return (await desk.row(DeskTicket)).snapshot.status


@pytest.mark.parametrize("status", ["open", "pending"])
async def test_what_its_requester_says_is_solved_is_resolved_by_nobody_of_ours(desk: Stage, status: str) -> None:
    """The survey follows from it as from any resolution. A repeat resolves nothing again."""
    ticket = await a_ticket_of(desk, status)
    solved = a_ticket_solved(account_id="fjord", ticket=ticket)

    await desk.hears(solved)
    await desk.hears(solved)

    updated, resolved = await desk.said()
    assert isinstance(updated, TicketUpdated)
    assert isinstance(resolved, TicketResolved)
    assert (resolved.resolved_by, resolved.ticket.status) == (None, "resolved")
    assert resolved.ticket.version == ticket.version + 1
    assert "says that it is solved" in [message.body for message in await desk.rows(Message)]


async def test_a_closed_ticket_stays_closed(desk: Stage) -> None:
    """Its agent was faster."""
    ticket = await a_ticket_of(desk, "closed")

    await desk.hears(a_ticket_solved(account_id="fjord", ticket=ticket))

    assert await desk.said() == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("last", ["solved", "reopened"])
async def test_the_requesters_last_word_holds_whatever_arrives_first(
    desk: Stage, last: str, order: tuple[int, ...]
) -> None:
    """Solutions and reopenings travel on two topics, which know no order between each other."""
    ticket = await a_ticket_of(desk, "pending")
    facts = {"account_id": "fjord", "ticket": ticket}
    events: list[Event] = []
    words = ["reopened", "solved", "reopened"] if last == "reopened" else ["solved", "reopened", "solved"]
    for minute, word in enumerate(words):
        at = NOON + timedelta(minutes=minute + 1)
        if word == "solved":
            events.append(a_ticket_solved(**facts, solved_id=f"s-{minute}", solved_at=at))
        else:
            events.append(a_ticket_reopened(**facts, reply_id=f"r-{minute}", reopened_at=at))

    for place in order:
        await desk.hears(events[place])
    await desk.hears(*events)

    assert await status_of(desk) == ("resolved" if last == "solved" else "open")


async def test_a_requester_is_erased_with_one_button(desk: Stage) -> None:
    """Their tickets are published without them, the services are asked to forget them, and nothing of them stays."""
    ticket = await a_ticket_of(desk, "open")
    path = f"/tickets/{ticket.ticket_id}"
    await desk.client.post(f"{path}/email", data={"body": "words of hers"})
    async with desk.service.sessions.begin() as session:
        for to, about in (
            (RITA.email, "Another matter"),
            (AGENTS["fjord"][0].email, "Pole"),
            ("jonas@x.example", "Tent"),
        ):
            raw = f"Subject: {about}\n\nwords".encode()
            session.add(Mail(mail_id=uuid7(), recipient=to, raw=raw, received_at=NOON))
    await desk.hears(a_low_rating(ticket))
    await desk.said()

    await desk.client.post(f"{path}/erase")
    await desk.client.post(f"{path}/erase")

    updated, erased = await desk.said()
    assert isinstance(updated, TicketUpdated)
    assert isinstance(erased, RequesterErased)
    assert (updated.ticket.requester.name, updated.ticket.requester.erased, updated.ticket.subject) == ("", True, "")
    assert (erased.requester_id, erased.ticket_ids) == (RITA.requester_id, (ticket.ticket_id,))
    assert [mail.recipient for mail in await desk.rows(Mail)] == ["jonas@x.example"]
    page = (await desk.client.get(path)).text
    assert RITA.name not in page
    assert "words" not in page
    assert "asked to be forgotten" in page


async def test_the_answers_to_an_erasure_are_shown(desk: Stage) -> None:
    """Who asked for it sees that it was done, by whom."""
    await a_ticket_of(desk, "open")
    facts = {"account_id": "fjord", "requester_id": RITA.requester_id, "request_id": "e-1", "forgotten_at": NOON}
    forgotten = RequesterForgotten(**facts, service="portal", rows={"tickets": 1, "messages": 2})

    await desk.hears(forgotten)
    await desk.hears(forgotten)

    assert [(row.author, row.body) for row in await desk.rows(Message)] == [
        ("Portal", "has forgotten the requester: 3 rows")
    ]


async def test_a_low_rating_is_shown_with_its_reason(desk: Stage) -> None:
    """What was picked, beside what was written."""
    ticket = await a_ticket_of(desk, "open")
    await desk.hears(a_low_rating(ticket))

    page = (await desk.client.get(f"/tickets/{ticket.ticket_id}")).text

    assert "Too slow" in page
    assert "words about it" in page
