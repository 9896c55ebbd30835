"""Keys to attachments, as an operator makes, lists and revokes them."""

import asyncio

import pytest
from click.testing import CliRunner, Result

from services.portal.__main__ import main
from services.portal.tables import ApiKey
from tests.builders import an_account
from tests.portal.conftest import KEY
from tests.portal.files import PDF, api_path, put
from tests.stage import Stage


@pytest.fixture(autouse=True)
def _environment(portal: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the service on stage."""
    monkeypatch.setenv("DATABASE_URL", portal.service.settings.database_url.replace("+asyncpg", ""))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("PUBLIC_URL", "https://portal.example")
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")


async def typed(*words: str) -> Result:
    """Type a command. In a thread: commands bring a loop of their own."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["keys", *words])


async def status(portal: Stage, key: str, account_id: str) -> int:
    """Get an account's file with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return (await portal.client.get(api_path(account_id=account_id), headers=headers)).status_code


async def test_a_key_opens_one_account_or_with_platform_all(portal: Stage) -> None:
    """Shown once, listed by id, and opening nothing once it is revoked."""
    await portal.hears(an_account(), an_account(account_id="other", name="Other"))
    await put(portal, PDF)
    await put(portal, PDF, account_id="other")

    one, every = [await typed("create", *opens, "--name", "desk") for opens in (("acme",), ("--platform",))]
    key, master = one.output.strip(), every.output.strip()

    assert [await status(portal, key, account) for account in ("acme", "other")] == [200, 404]
    assert [await status(portal, master, account) for account in ("acme", "other")] == [200, 200]
    listed = (await typed("list")).output
    assert "every account" in listed
    assert key.split("_")[1] in listed
    assert key.split("_", 2)[2] not in listed
    assert (await typed("revoke", key.split("_")[1])).exit_code == 0
    assert await status(portal, key, "acme") == 401


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create", "--name", "x"), "name an account, or say --platform"),
        (("create", "acme", "--platform", "--name", "x"), "name an account, or say --platform"),
        (("create", "amce", "--name", "x"), "No account amce is known yet"),
        (("revoke", "0123"), "There is no key 0123"),
    ],
)
async def test_a_mistyped_command_makes_no_key(portal: Stage, words: tuple[str, ...], told: str) -> None:
    """It says what is wrong."""
    refused = await typed(*words)

    assert refused.exit_code in {1, 2}
    assert told in refused.output
    assert await portal.count(ApiKey) == 0
