"""`make sandbox` on embedded parts: one command up, data that stays, one command to clear it."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.sandbox.sandbox import Sandbox


async def wait_for(client: httpx.AsyncClient, path: str, text: str, seconds: float = 30) -> str:
    """Read a page until it holds a text."""
    async with asyncio.timeout(seconds):
        while True:
            page = (await client.get(path)).text
            if text in page:
                return page
            await asyncio.sleep(0.2)


@pytest.mark.timeout(300)
async def test_it_starts_shows_a_demonstration_keeps_its_data_and_can_be_cleared(tmp_path: Path) -> None:
    """What the README promises of the first command."""
    sandbox = Sandbox(tmp_path / "sandbox")
    await sandbox.start()
    try:
        for part in ("PostgreSQL", "Kafka", "portal", "surveys", "notifier", "reports", "desk"):
            assert f"✓ {part}" in sandbox.said
        async with httpx.AsyncClient(base_url=sandbox.url, follow_redirects=True) as client:
            desk = (await client.get("/")).text
            for status in ("open", "pending", "resolved", "closed"):
                assert f'class="badge {status}"' in desk
            opened = await client.post(
                "/tickets",
                data={
                    "account": "fjord",
                    "subject": "Kept?",
                    "name": "Sam",
                    "email": "s@customer.example",
                    "locale": "fr",
                },
            )
            ticket = opened.url.path
            await client.post(
                f"{ticket}/reply", data={"body": "Yes, kept."}, files={"files": ("How to.txt", b"Like this.")}
            )
            await client.post(f"{ticket}/note", data={"body": "SECRET-NOTE"})
            page = await wait_for(client, ticket, "Open the portal")
            portal = page.split('class="open" href="')[1].split('"')[0]
            shown = (await client.get(portal)).text
            assert "Yes, kept." in shown
            file = shown.split('href="/t/')[1].split('"')[0]
            assert (await client.get(f"{portal.partition('/t/')[0]}/t/{file}")).content == b"Like this."
            at_the_desk = page.split(f'href="{ticket}/attachments/')[1].split('"')[0]
            assert (await client.get(f"{ticket}/attachments/{at_the_desk}")).content == b"Like this."
            assert "SECRET-NOTE" not in shown
            assert "Envoyer la réponse" in shown
            refused = await sandbox.reset()
            assert "is running" in refused
    finally:
        code = await sandbox.stop()
    assert code == 0, sandbox.said
    assert "Stopped." in sandbox.said

    await sandbox.start()
    try:
        async with httpx.AsyncClient(base_url=sandbox.url) as client:
            assert "Kept?" in (await client.get("/")).text
            assert "Yes, kept." in (await client.get(portal)).text
    finally:
        await sandbox.stop()

    assert "The sandbox is empty" in await sandbox.reset()
    assert list(sandbox.folder.iterdir()) == []


async def test_a_port_in_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    """The first thing that goes wrong on a real machine."""
    sandbox = Sandbox(tmp_path / "sandbox")
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", sandbox.port + 2)

    async with server:
        with pytest.raises(AssertionError, match=rf"In use: port {sandbox.port + 2}.*SANDBOX_PORT"):
            await sandbox.start()


async def test_a_broker_that_does_not_answer_is_told(tmp_path: Path) -> None:
    """A wrong address ends in a sentence, not in a trace."""
    sandbox = Sandbox(tmp_path / "sandbox", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")

    with pytest.raises(AssertionError, match=r"127\.0\.0\.1:1") as told:
        await sandbox.start()

    assert "Traceback" not in str(told.value)
    assert await sandbox._process.wait() == 1
