"""A dead link's page offers a fresh one, and says the same to everybody."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from services.portal import fresh_links, queries
from services.portal.link import APART, MOST_A_DAY, OVERLAP, AccessLink
from shared.contracts import LinkRenewed, Requester
from tests.builders import a_reply_sent
from tests.portal.conftest import URL, mailed, reply
from tests.portal.test_links import operate, statuses
from tests.stage import Stage


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer as soon as can be. How long it takes is tests/attacks' matter."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)


async def ask(portal: Stage, path: str) -> httpx.Response:
    """Press the button on the page of a dead link."""
    await portal.forget_visits()
    return await portal.client.post(f"{path}?fresh-link=yes")


async def expired(portal: Stage, **ticket: object) -> str:
    """The path of a link that has run out."""
    path = await mailed(portal, **ticket)
    portal.later(days=90)
    return path


async def rotated(portal: Stage) -> None:
    """Replace the ticket's link as the operator's command does, by the stage's clock."""
    async with portal.service.sessions.begin() as session:
        ticket = (await session.scalars(queries.ticket_of("acme", "T-1"))).one()
        links = (await session.scalars(queries.links_of("acme", "T-1"))).all()
        session.add(portal.service.provided["links"].rotate(links, ticket, portal.clock()))


async def fresh(portal: Stage) -> str:
    """The path of the link that was mailed last."""
    (renewed,) = await portal.said()
    assert isinstance(renewed, LinkRenewed)
    return renewed.link.removeprefix(URL)


async def test_an_expired_link_is_replaced_by_email(portal: Stage) -> None:
    """The page of the dead one offers it; the new one opens the ticket and takes a reply, the old one stays dead."""
    old = await expired(portal, version=4, status="pending")
    page = await portal.client.get(old)
    assert page.status_code == 404
    assert 'action="?fresh-link=yes"' in page.text

    answer = await ask(portal, old)

    assert answer.status_code == 200
    assert "Please have a look at your emails" in answer.text
    (renewed,) = await portal.said()
    assert isinstance(renewed, LinkRenewed)
    assert renewed.ticket.requester.email == "rita@customer.example"
    assert renewed.renewed_at == portal.clock()
    new = renewed.link.removeprefix(URL)
    assert await statuses(portal, old) == {404}
    assert await statuses(portal, new) == {200, 422}
    assert (await reply(portal, new)).status_code == 303


async def test_a_link_that_was_replaced_goes_on_for_a_week_and_is_then_renewable(portal: Stage) -> None:
    """Emails under way and open pages go on working; who finds an old email later gets a fresh link."""
    old = await mailed(portal)
    await rotated(portal)
    assert await statuses(portal, old) == {200, 422}
    await portal.hears(a_reply_sent(reply_id="a-2"))
    second = (await portal.said())[-1].link.removeprefix(URL)
    assert second != old

    portal.later(seconds=OVERLAP.total_seconds())
    assert await statuses(portal, old) == {404}
    assert await statuses(portal, second) == {200, 422}
    await ask(portal, old)

    third = await fresh(portal)
    assert len({old, second, third}) == 3
    assert await statuses(portal, second) == {200, 422}
    portal.later(seconds=OVERLAP.total_seconds())
    assert await statuses(portal, second) == {404}
    assert await statuses(portal, third) == {200, 422}


async def test_a_revoked_link_is_not_replaced(portal: Stage) -> None:
    """It was in the wrong hands: an operator said so. What replaces it comes with the next reply."""
    leaked = await mailed(portal)
    await operate(portal, "revoke", "T-1")

    await ask(portal, leaked)

    assert await portal.said() == []
    assert len(await portal.rows(AccessLink)) == 1


async def test_a_link_that_works_is_not_replaced(portal: Stage) -> None:
    """Nothing is mailed, and it goes on as it was."""
    path = await mailed(portal)

    answer = await ask(portal, path)

    assert answer.status_code == 200
    assert await portal.said() == []
    assert await statuses(portal, path) == {200, 422}


async def test_without_an_address_nothing_is_mailed(portal: Stage) -> None:
    """Some channels know none."""
    path = await expired(portal, requester=Requester(requester_id="rita", name="Rita"))

    await ask(portal, path)

    assert await portal.said() == []
    assert len(await portal.rows(AccessLink)) == 1


async def test_a_double_click_mails_one(portal: Stage) -> None:
    """And so do twenty people with the same dead link at the same moment."""
    old = await expired(portal)

    await asyncio.gather(*(portal.client.post(f"{old}?fresh-link=yes") for _ in range(5)))

    assert [type(event) for event in await portal.said()] == [LinkRenewed]


async def test_three_a_day_are_mailed_and_the_day_after_again(portal: Stage) -> None:
    """Whoever asks, with whichever of the ticket's dead links."""
    old = await expired(portal)
    mailed_count = []

    for _ in range(10):
        await ask(portal, old)
        mailed_count.append(len(await portal.said()))
        portal.later(seconds=APART.total_seconds())
    portal.later(days=1)
    await ask(portal, old)

    assert mailed_count == [1] * MOST_A_DAY + [0] * (10 - MOST_A_DAY)
    assert len(await portal.said()) == 1


async def test_an_operator_replaces_a_link_and_the_next_reply_carries_the_new_one(portal: Stage) -> None:
    """`links rotate`: the old one opens the ticket meanwhile."""
    old = await mailed(portal)

    done = await operate(portal, "rotate", "T-1")
    await portal.hears(a_reply_sent(reply_id="a-2"))

    assert done.output == "rotated\n"
    new = (await portal.said())[-1].link.removeprefix(URL)
    assert new != old
    assert await statuses(portal, old) == await statuses(portal, new) == {200, 422}


async def test_rotating_what_does_not_exist_says_so(portal: Stage) -> None:
    """Who mistypes a ticket's id must not believe that its links are replaced."""
    await mailed(portal)

    done = await operate(portal, "rotate", "T-9")

    assert (done.exit_code, done.output) == (1, "Error: no such ticket\n")
    assert len(await portal.rows(AccessLink)) == 1


async def test_a_rotation_never_makes_a_link_live_longer(portal: Stage) -> None:
    """One that would end tomorrow ends tomorrow."""
    path = await mailed(portal)
    async with portal.service.sessions.begin() as session:
        await session.execute(update(AccessLink).values(expires_at=portal.clock() + timedelta(days=1)))

    await rotated(portal)
    portal.later(days=1)

    assert await statuses(portal, path) == {404}
