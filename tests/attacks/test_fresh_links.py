"""Asking for a fresh link tells nobody anything, and fills nobody's mailbox (S24, S25)."""

import statistics
import time

import pytest
from sqlalchemy import text

from services.portal import fresh_links
from services.portal.link import APART, MOST_A_DAY
from shared.contracts import LinkRenewed
from shared.public_pages.rate_limits import FRESH_LINKS
from tests.attacks.conftest import invited
from tests.attacks.test_tokens import dead_links
from tests.portal.conftest import everything_stored, mailed
from tests.stage import Stage


async def links_of_every_fate(stages: dict[str, Stage]) -> dict[str, str]:
    """Links that never were, that were, and that are, by what became of them."""
    portal = stages["portal"]
    return {
        "unknown": "/t/" + "A" * 43,
        "malformed": "/t/%00",
        "long": "/t/" + "A" * 5000,
        "alive": await mailed(portal, ticket_id="T-alive"),
        **await dead_links(stages, "portal"),
    }


async def test_the_answer_is_the_same_for_every_link(stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    """Enumeration: known or not, expired, revoked or alive, byte for byte; and nothing of the link is repeated."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)
    portal = stages["portal"]
    links = await links_of_every_fate(stages)
    await portal.said()
    answers = {}

    for name, path in links.items():
        await portal.forget_visits()
        answers[name] = await portal.client.post(f"{path}?fresh-link=yes")

    assert {answer.status_code for answer in answers.values()} == {200}
    assert len({answer.content for answer in answers.values()}) == 1
    assert len({str(sorted(answer.headers.items())) for answer in answers.values()}) == 1
    assert "Acme" not in answers["expired"].text
    (renewed,) = await portal.said()
    assert isinstance(renewed, LinkRenewed)
    assert renewed.ticket.ticket_id == "T-expired"


async def test_the_answer_comes_as_late_for_every_link(
    stages: dict[str, Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timing oracle: all are answered the same while after they came, which is longer than the work takes."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0.3)
    portal = stages["portal"]
    links = await links_of_every_fate(stages)
    seconds: dict[str, list[float]] = {name: [] for name in links}

    for _ in range(3):
        for name, path in links.items():
            await portal.forget_visits()
            begun = time.perf_counter()
            await portal.client.post(f"{path}?fresh-link=yes")
            seconds[name].append(time.perf_counter() - begun)
        portal.later(seconds=APART.total_seconds())

    medians = {name: statistics.median(times) for name, times in seconds.items()}
    assert min(medians.values()) >= 0.3
    assert max(medians.values()) < min(medians.values()) + 0.2, medians


async def test_nobody_can_fill_a_requesters_mailbox(portal: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail bombing: whoever has an old link, and however many addresses, a ticket's requester gets three a day."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)
    path = await mailed(portal)
    portal.later(days=90)
    mails = []

    for _ in range(24 * 6):
        for _ in range(3):
            await portal.forget_visits()
            await portal.client.post(f"{path}?fresh-link=yes")
        mails.append(len(await portal.said()))
        portal.later(minutes=10)

    assert sum(mails) == MOST_A_DAY
    assert max(mails) == 1


async def test_asking_too_often_is_refused_alike_for_known_and_unknown_links(
    portal: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Enumeration by the limit: what is counted is the token as it came, whatever it opens."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)
    known = await mailed(portal)
    portal.later(days=90)
    assert FRESH_LINKS.link is not None

    for path in (known, "/t/unknown"):
        await portal.forget_visits()
        answers = [await portal.client.post(f"{path}?fresh-link=yes") for _ in range(FRESH_LINKS.link.at_once + 1)]
        assert [answer.status_code for answer in answers] == [200] * FRESH_LINKS.link.at_once + [429]


async def test_a_scanner_that_opens_the_page_of_a_dead_link_asks_for_nothing(portal: Stage) -> None:
    """Link scanners: GET and HEAD of the form's address, too."""
    path = await mailed(portal)
    portal.later(days=90)
    await portal.said()

    for method in ("GET", "HEAD"):
        for address in (path, f"{path}?fresh-link=yes"):
            assert (await portal.client.request(method, address)).status_code == 404

    assert await portal.said() == []


async def test_a_survey_link_gets_no_link_to_its_ticket(stages: dict[str, Stage], monkeypatch) -> None:
    """Confused deputies: who was forwarded a survey can have nothing mailed, to anybody."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)
    portal = stages["portal"]
    await mailed(portal)
    portal.later(days=90)
    survey = (await invited(stages["surveys"])).replace("/s/", "/t/")
    await portal.said()

    await portal.client.post(f"{survey}?fresh-link=yes")

    assert await portal.said() == []


async def test_the_fresh_token_is_in_no_row_but_the_event(portal: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stolen backups: once its event is told, the database has the digest only."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)
    path = await mailed(portal)
    portal.later(days=90)
    await portal.said()
    await portal.client.post(f"{path}?fresh-link=yes")
    (renewed,) = await portal.said()
    async with portal.service.sessions.begin() as session:
        await session.execute(text("DELETE FROM outbox"))

    assert renewed.link.rpartition("/")[2] not in await everything_stored(portal)
