"""The link that opens a ticket: how long, and what is shown when it does not."""

import asyncio

from click.testing import CliRunner, Result
from sqlalchemy import update

from services.portal.__main__ import main
from services.portal.link import AccessLink
from services.portal.ticket import Message
from shared.public_pages.access_links import AccessLinks
from tests.builders import a_reply_received, a_reply_sent
from tests.portal.conftest import KEY, URL, mailed, reply
from tests.stage import Stage


async def revoke(portal: Stage, ticket_id: str) -> Result:
    """Revoke the ticket's link as an operator would."""
    environment = {
        "DATABASE_URL": portal.service.engine.url.render_as_string(hide_password=False).replace("+asyncpg", ""),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PUBLIC_URL": URL,
        "SECRET_KEY": KEY,
    }
    return await asyncio.to_thread(CliRunner().invoke, main, ["revoke-link", "acme", ticket_id], env=environment)


async def statuses(portal: Stage, path: str) -> set[int]:
    """How the link's three addresses answer."""
    return {
        (await portal.client.get(path)).status_code,
        (await portal.client.get(f"{path}/challenge")).status_code,
        (await portal.client.post(path, data={"body": ""})).status_code,
    }


async def test_links_that_open_nothing_cannot_be_told_apart(portal: Stage) -> None:
    """Unknown, malformed, expired, revoked, made for a survey: one page, byte for byte, whatever is asked of it."""
    path = await mailed(portal)
    revoked = await mailed(portal, ticket_id="T-2")
    await revoke(portal, "T-2")
    expired = await mailed(portal, ticket_id="T-3")
    async with portal.service.sessions.begin() as session:
        await session.execute(update(AccessLink).filter_by(ticket_id="T-3").values(expires_at=portal.clock()))
    survey = AccessLinks(KEY, purpose="survey", base_url=URL, path="t").token("acme", "T-1", 1)
    unknown = [f"/t/{token}" for token in ("A" * 43, "x", "%00", "..%2f..%2fetc", "😀", "A" * 5000, survey, "%ff")]

    answers = []
    for dead in (expired, revoked, path + "A", path[:-1], *unknown):
        answers += [
            await portal.client.get(dead),
            await portal.client.post(dead, data={"body": "Hello"}),
            await portal.client.post(dead),
            await portal.client.get(f"{dead}/challenge"),
        ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert "Acme" not in answers[0].text
    assert await portal.count(Message) == 3


async def test_a_link_expires_90_days_after_the_last_mailed_reply(portal: Stage) -> None:
    """Each mailed reply makes it good for as long again; what is not mailed does not."""
    path = await mailed(portal)
    portal.later(days=89)
    assert await statuses(portal, path) == {200, 422}
    await portal.hears(a_reply_sent(reply_id="a-2", sent_at=portal.clock()))
    portal.later(days=89)
    await portal.hears(a_reply_received(), a_reply_sent(reply_id="a-2"))
    assert await statuses(portal, path) == {200, 422}

    portal.later(days=1)

    assert await statuses(portal, path) == {404}


async def test_a_reply_mailed_after_the_link_expired_revives_it(portal: Stage) -> None:
    """People find an older email as easily as the newest."""
    path = await mailed(portal)
    portal.later(days=200)

    await portal.hears(a_reply_sent(reply_id="a-2", sent_at=portal.clock()))

    assert await statuses(portal, path) == {200, 422}


async def test_after_a_revocation_the_next_mailed_reply_carries_a_new_link(portal: Stage) -> None:
    """The leaked link stays dead."""
    leaked = await mailed(portal)
    assert (await revoke(portal, "T-1")).output == "revoked\n"

    await portal.hears(a_reply_sent(reply_id="a-2"), a_reply_sent(reply_id="a-3"))

    second, third = await portal.said()
    fresh = second.link.removeprefix(URL)
    assert fresh != leaked
    assert third.link == second.link
    assert await statuses(portal, leaked) == {404}
    assert await statuses(portal, fresh) == {200, 422}
    assert (await reply(portal, fresh)).status_code == 303


async def test_revoking_what_does_not_exist_says_so(portal: Stage) -> None:
    """An operator who mistypes a ticket's id must not believe that its link is dead."""
    path = await mailed(portal)

    done = await revoke(portal, "T-9")

    assert (done.exit_code, done.output) == (1, "Error: no such ticket\n")
    assert await statuses(portal, path) == {200, 422}


def test_a_token_is_of_one_ticket_of_one_account() -> None:
    """Nobody can compute another ticket's token from their own, or meet it by a clever id."""
    links = AccessLinks(KEY, purpose="ticket", base_url=URL, path="t")
    mine = ("acme", "T-1", 1)

    others = [("other", "T-1", 1), ("acme", "T-2", 1), ("acme", "T-1", 2), ("acmeT", "-1", 1), ("acme", "T-11")]

    assert links.token(*mine) not in {links.token(*other) for other in others}


async def test_metrics_name_a_route_and_not_what_opens_it(portal: Stage) -> None:
    """Whoever may read /metrics may not read tickets."""
    path = await mailed(portal)
    await portal.client.get(path)
    await portal.client.post(path, data={"body": ""})

    told = (await portal.client.get("/metrics")).text

    for method, status in (("GET", 200), ("POST", 422)):
        assert f'closeloop_request_seconds_count{{method="{method}",route="/t/{{token}}",status="{status}"}}' in told
    assert path.removeprefix("/t/") not in told
