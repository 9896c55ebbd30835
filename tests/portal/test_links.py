"""The link that opens a ticket: how long, and what is shown when it does not."""

import asyncio

from click.testing import CliRunner, Result

from services.portal.__main__ import main
from tests.builders import a_reply_received, a_reply_sent
from tests.portal.conftest import KEY, URL, mailed, reply
from tests.stage import Stage


async def revoke(portal: Stage, ticket_id: str) -> Result:
    """Revoke the ticket's links as an operator would."""
    return await operate(portal, "revoke", ticket_id)


async def operate(portal: Stage, word: str, ticket_id: str) -> Result:
    """Say `links WORD` of the ticket."""
    environment = {
        "DATABASE_URL": portal.service.engine.url.render_as_string(hide_password=False).replace("+asyncpg", ""),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PUBLIC_URL": URL,
        "SECRET_KEY": KEY,
    }
    return await asyncio.to_thread(CliRunner().invoke, main, ["links", word, "acme", ticket_id], env=environment)


async def statuses(portal: Stage, path: str) -> set[int]:
    """How the link's three addresses answer."""
    return {
        (await portal.client.get(path)).status_code,
        (await portal.client.get(f"{path}/challenge")).status_code,
        (await portal.client.post(path, data={"body": ""})).status_code,
    }


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
