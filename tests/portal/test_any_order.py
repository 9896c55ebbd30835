"""Kafka promises no order between topics, and delivers again: the end is the same however a ticket's events come."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.portal.link import AccessLink
from services.portal.tables import Account
from services.portal.ticket import Message, Ticket
from shared.contracts import Event, ReplyPublished, ReplyReceived
from tests.builders import (
    BEN,
    NOON,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.captcha import read_code
from tests.portal.conftest import KEY, URL
from tests.stage import Delivery, Stage, delivery_of

REPLIED_AT = 5
"""The version that is known when the requester replies: resolved."""


def told(version: int) -> Any:
    """The ticket at each version of its life."""
    status = {4: "pending", 5: "resolved", 8: "resolved"}.get(version, "open")
    return a_ticket(version=version, status=status, subject=f"Subject {version}", assignee=BEN)


def at(minute: int) -> Any:
    """A time of the afternoon."""
    return NOON + timedelta(minutes=minute)


BEFORE: list[Event] = [
    an_account(),
    an_account(version=2, name="Acme Outdoor & Sons"),
    a_ticket_created(ticket=told(1)),
    a_reply_sent(ticket=told(2), sent_at=at(2)),
    a_reply_sent(ticket=told(2), reply_id="a-1b", body="between us", visibility="internal"),
    a_reply_received(ticket=told(3), received_at=at(3)),
    a_ticket_updated(ticket=told(4)),
    a_ticket_resolved(ticket=told(REPLIED_AT), resolved_at=at(5)),
]
AFTER: list[Event] = [
    a_ticket_updated(ticket=told(6)),
    a_reply_sent(ticket=told(7), reply_id="a-2", sent_at=at(7)),
    a_reply_sent(ticket=told(7), reply_id="a-2", sent_at=at(7)),  # the same reply under a second event id
    a_ticket_resolved(ticket=told(8), resolved_at=at(8), resolved_by=None),
]

quick = settings(
    max_examples=14,
    deadline=None,
    # No shrinking: an example takes the database a fifth of a second, and a smaller one would cost hundreds of them.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def disorder(draw: st.DrawFn, events: list[Delivery]) -> list[list[Delivery]]:
    """Every event once or more, in any order, in groups that arrive at the same moment."""
    repeats = draw(st.lists(st.sampled_from(events), max_size=6)) if events else []
    shuffled = draw(st.permutations([*events, *repeats]))
    groups: list[list[Delivery]] = []
    for delivery in shuffled:
        if not groups or draw(st.integers(0, 2)):
            groups.append([])
        groups[-1].append(delivery)
    return groups


async def hears_all(portal: Stage, groups: list[list[Delivery]]) -> None:
    """Let each group's topics arrive side by side, as they do from Kafka."""
    for group in groups:
        topics = {delivery.topic for delivery in group}
        await asyncio.gather(
            *(portal.hears(*(delivery for delivery in group if delivery.topic == topic)) for topic in topics)
        )


async def outcome(portal: Stage) -> dict[str, Any]:
    """What people see and what is stored, without the ids that we draw ourselves."""
    ticket = await portal.row(Ticket)
    link = await portal.row(AccessLink)
    messages = await portal.rows(Message)
    return {
        "path": portal.service.provided["links"].url(link).removeprefix(URL),
        "ticket": (ticket.version, ticket.snapshot, ticket.status),
        "messages": sorted(
            (message.sent_at, message.kind, message.author_name, message.body, message.happening or "")
            for message in messages
        ),
        "link": (link.generation, link.expires_at),
        "account": (await portal.row(Account)).name,
        "dead letters": await portal.dead_letters(),
    }


async def replies_from_the_page(portal: Stage, path: str) -> list[Event]:
    """Send the form and tell what the portal said about it, which comes back to it."""
    code = read_code((await portal.client.get(path)).text, KEY)
    await portal.client.post(path, data={"body": "It broke again.", **code})
    return [event for event in await portal.said() if isinstance(event, ReplyReceived)]


@pytest_asyncio.fixture
async def in_order(portal: Stage) -> dict[str, Any]:
    """What it comes to when everything arrives once, in order."""
    await portal.hears(*BEFORE, *AFTER)
    end = await outcome(portal)
    assert end["ticket"][2] == "resolved"
    return end


@quick
@given(data=st.data())
async def test_any_order_and_repetition_of_a_tickets_events_ends_the_same(
    portal_stage: Stage, in_order: dict[str, Any], data: st.DataObject
) -> None:
    """The newest version wins, each message is there once, each reply is mailed once, nothing is left waiting."""
    portal = portal_stage
    await portal.clear()

    await hears_all(portal, data.draw(disorder([delivery_of(event) for event in [*BEFORE, *AFTER]])))

    assert await outcome(portal) == in_order
    published = [event.reply_id for event in await portal.said() if isinstance(event, ReplyPublished)]
    assert sorted(published) == ["a-1", "a-2"]


@quick
@given(data=st.data(), answered=st.booleans())
async def test_a_reopening_stands_until_the_help_desk_answers_it(
    portal_stage: Stage, in_order: dict[str, Any], data: st.DataObject, answered: bool
) -> None:
    """The requester replies at version 5; whatever older comes later or again, only a later version changes that."""
    portal = portal_stage
    await portal.clear()
    before = [delivery_of(event) for event in BEFORE]
    early = data.draw(st.sets(st.sampled_from(range(len(before) - 1))))
    # What makes the page and its form as they were: the account and the resolution are known, the rest as it comes.
    await portal.hears(before[0])
    await hears_all(portal, data.draw(disorder([before[-1], *(before[number] for number in sorted(early))])))
    await portal.said()

    own = await replies_from_the_page(portal, in_order["path"])
    late = [*before, *(delivery_of(event) for event in own), *(delivery_of(event) for event in AFTER if answered)]
    await hears_all(portal, data.draw(disorder(late)))

    end = await outcome(portal)
    written = [body or happening for _, _, _, body, happening in end["messages"]]
    assert end["ticket"][2] == ("resolved" if answered else "open")
    assert end["ticket"][0] == (8 if answered else REPLIED_AT)
    assert sorted(written) == sorted(
        ["It snapped.", "A new pole is on its way.", "Thank you!", "resolved", "It broke again.", "reopened"]
        + (["A new pole is on its way.", "resolved"] if answered else [])
    )
    assert end["dead letters"] == []


@quick
@given(data=st.data(), answered=st.booleans(), replies=st.booleans())
async def test_a_solution_stands_until_the_help_desk_answers_it(
    portal_stage: Stage, in_order: dict[str, Any], data: st.DataObject, answered: bool, replies: bool
) -> None:
    """The requester solves it at version 4, pending; whatever older comes later or again changes nothing.

    A reply of theirs after that does, at the same version.
    """
    portal = portal_stage
    await portal.clear()
    account, pending, *others = [delivery_of(event) for event in [BEFORE[0], BEFORE[6], *BEFORE[1:6]]]
    early = data.draw(st.sets(st.sampled_from(range(len(others)))))
    await portal.hears(account)
    await hears_all(portal, data.draw(disorder([pending, *(others[number] for number in sorted(early))])))
    await portal.said()

    await portal.client.post(f"{in_order['path']}/solved")
    own = await replies_from_the_page(portal, in_order["path"]) if replies else []
    late = [pending, *others, *(delivery_of(event) for event in own)]
    late += [delivery_of(event) for event in AFTER if answered]
    await hears_all(portal, data.draw(disorder(late)))

    end = await outcome(portal)
    happened = [happening for _, _, _, _, happening in end["messages"] if happening]
    assert end["ticket"][2] == ("resolved" if answered or not replies else "open")
    assert end["ticket"][0] == (8 if answered else 4)
    assert sorted(happened) == sorted(["solved"] + ["reopened"] * replies + ["resolved"] * answered)
    assert end["dead letters"] == []
