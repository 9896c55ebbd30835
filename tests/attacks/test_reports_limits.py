"""Guessing of API keys, floods of reports: counted by address and by key, for API and sign-in together (S22, S23)."""

import asyncio

import pytest
from sqlalchemy import text

from shared.public_pages.rate_limits import REPORTS, WRONG_KEYS
from tests.attacks.test_rate_limits import HERE, empties
from tests.builders import an_account
from tests.reports.told import a_key, answered, ask
from tests.stage import Stage

WRONG = "cl_000000000000_" + "x" * 43
MANY = WRONG_KEYS.address.at_once if WRONG_KEYS.address else 0


async def opens(reports: Stage, key: str) -> int:
    """What the API answers to a key."""
    return (await ask(reports, "/summary", key=key)).status_code


async def sign_in(reports: Stage, key: str):
    """Send the form."""
    return await reports.client.post("/session", data={"key": key})


@pytest.fixture
async def key(reports: Stage) -> str:
    """A key that opens Acme's reports."""
    await reports.hears(an_account(), answered("s-1", 5))
    return await a_key(reports)


async def test_who_guesses_keys_is_refused_after_a_while_and_the_right_key_still_opens(
    reports: Stage, key: str
) -> None:
    """Brute force: different keys from one address; whoever shares it and has a key is let in."""
    answers = [await opens(reports, f"cl_{number:012x}_" + "x" * 43) for number in range(MANY + 1)]

    assert answers == [401] * MANY + [429]
    assert await opens(reports, key) == 200
    assert (await sign_in(reports, key)).status_code == 303


async def test_guesses_at_one_key_are_counted_from_wherever_they_come(reports: Stage, key: str) -> None:
    """Distributed brute force: by the name of the key; its owner is not kept out."""
    await empties(reports, WRONG_KEYS, "link", key[:15])

    refused = await ask(reports, "/summary", key=key[:16] + "x" * 43)

    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert await opens(reports, key) == 200


@pytest.mark.parametrize("door", ["api", "form", "cookie"])
async def test_every_door_counts_and_refuses(reports: Stage, key: str, door: str) -> None:
    """Unthrottled side doors: what was guessed at one is counted at the others."""
    await empties(reports, WRONG_KEYS, "address", HERE)

    if door == "api":
        answer = await ask(reports, "/summary", key=WRONG)
    elif door == "form":
        answer = await sign_in(reports, WRONG)
        assert "Please wait a minute" in answer.text
        assert 'name="key"' in answer.text
    else:
        answer = await reports.client.get("/csat", headers={"Cookie": f"closeloop_reports={WRONG}"})

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1


async def test_an_empty_or_malformed_key_costs_a_try_and_nothing_more(reports: Stage) -> None:
    """Odd input: counted like any other wrong key, never an error."""
    for wrong in ("x", "cl_", "\u00e9" * 5, "cl_000000000000_" + "x" * 4000):
        assert (await sign_in(reports, wrong)).status_code == 403
    assert (await reports.client.get("/csat")).headers["location"] == "/sign-in"


async def test_the_portals_api_counts_wrong_keys_as_well(portal: Stage) -> None:
    """Unthrottled side doors: the help desk's API is a door, too."""
    await portal.hears(an_account())
    address, wrong = "/api/v1/accounts/acme/attachments/manual-1", {"Authorization": f"Bearer {WRONG}"}
    first = await portal.client.get(address, headers=wrong)
    await empties(portal, WRONG_KEYS, "address", HERE)

    refused = await portal.client.get(address, headers=wrong)

    assert (first.status_code, refused.status_code) == (401, 429)
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_key_cannot_ask_for_ever(reports: Stage, key: str) -> None:
    """Floods by who may: one key's requests end, another key of the same account goes on; pages say so kindly."""
    other = await a_key(reports)
    await empties(reports, REPORTS, "link", key[:15])

    page = await reports.client.get("/csat", headers={"Cookie": f"closeloop_reports={key}"})

    assert await opens(reports, key) == 429
    assert (page.status_code, "Please wait a minute" in page.text) == (429, True)
    assert await opens(reports, other) == 200
    reports.later(seconds=1)
    assert await opens(reports, key) == 200


async def test_keys_open_though_nobody_can_be_counted(reports: Stage, key: str) -> None:
    """Denial of service by a dependency: the table of the limits is away, that of the keys is not."""
    async with reports.service.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE rate_limit_buckets RENAME TO gone"))
    try:
        answers = [await opens(reports, key), await opens(reports, WRONG)]
    finally:
        async with reports.service.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE gone RENAME TO rate_limit_buckets"))

    assert answers == [200, 401]
    assert await opens(reports, key) == 200


async def test_counting_keeps_no_connection(reports: Stage, key: str) -> None:
    """Pool exhaustion: more requests at a time than there are connections."""
    answers = await asyncio.gather(*(opens(reports, key if number % 2 else WRONG) for number in range(40)))

    assert set(answers) == {200, 401}
    assert reports.service.pool.lent == 0
    assert reports.service.engine.pool.checkedout() == 0  # pyright: ignore[reportAttributeAccessIssue]
