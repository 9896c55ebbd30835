"""Keys: what they open, what they do not, and how they are made and revoked."""

import gc
import re
from typing import cast

import pytest
from sqlalchemy.pool import QueuePool

from services.reports.tables import ApiKey
from tests.builders import an_account
from tests.reports.conftest import Operator
from tests.reports.told import a_key, answered, ask, told
from tests.stage import Stage

PATHS = ["/summary", "/distribution", "/agents", "/trend", "/responses"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_shows_nothing_of_another_account(reports: Stage, path: str) -> None:
    """There is no way to name an account but to hold its key."""
    await reports.hears(an_account(), an_account(account_id="bolt", name="Bolt"))
    acme, bolt = await a_key(reports), await a_key(reports, "bolt")
    empty = await told(reports, path, key=bolt)

    await reports.hears(*(answered(f"secret-{number}", 5, comment="secret") for number in range(6)))

    assert await told(reports, path, key=bolt) == empty
    assert await told(reports, path, key=acme) != empty


async def test_a_cursor_of_another_account_opens_nothing(reports: Stage) -> None:
    """A cursor is a place in one account's responses."""
    await reports.hears(an_account(), an_account(account_id="bolt"), answered("theirs", 5))

    response = await ask(reports, "/responses", key=await a_key(reports, "bolt"), cursor="theirs")

    assert response.status_code == 400


@pytest.mark.parametrize("path", [*PATHS, "/summary?from=nonsense", "/summary?who=knows"])
async def test_without_a_key_the_api_says_how_to_bring_one_and_nothing_else(reports: Stage, path: str) -> None:
    """401 comes before anything is said about the parameters. Source: RFC 6750, section 3."""
    response = await reports.client.get(f"/api/v1/csat{path}")

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="closeloop reports"'
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["title"] == "Unauthorized"


async def test_wrong_keys_are_refused_alike(reports: Stage) -> None:
    """Unknown, revoked, of another secret, or no key at all: one answer for all, so nothing can be learnt from it."""
    await reports.hears(an_account())
    key = await a_key(reports)
    revoked = await a_key(reports)
    async with reports.service.sessions.begin() as session:
        row = await session.get_one(ApiKey, revoked.split("_")[1])
        row.revoked_at = reports.clock()
    wrong = [
        revoked,
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key.lower(),
        f"cl_{'0' * 12}_{key.split('_', 2)[2]}",
        "cl_x",
        "",
        "cl_" + "9" * 5000,
    ]

    answers = [await reports.client.get("/api/v1/csat/summary", headers=bearer(text)) for text in wrong]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {
        'Bearer realm="closeloop reports", error="invalid_token"'
    }
    assert (await reports.client.get("/api/v1/csat/summary", headers=bearer(key))).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v1/csat/summary", {"Authorization": f"Bearer cl_{'0' * 12}_{'x' * 43}"}),
        ("/api/v1/csat/summary?from=nonsense", None),
        ("/api/v1/csat/trend?granularity=hour", None),
        ("/api/v1/csat/summary?who=knows", None),
        ("/csat", {"Cookie": f"closeloop_reports=cl_{'0' * 12}_{'x' * 43}"}),
    ],
)
async def test_a_refused_request_holds_on_to_no_connection(
    reports: Stage, path: str, headers: dict[str, str] | None
) -> None:
    """Whoever sends nonsense, however often, takes nothing from those who do not."""
    await reports.hears(an_account())
    headers = headers or bearer(await a_key(reports))

    gc.disable()  # what is only let go when the collector comes is held on to until then
    try:
        for _ in range(3):
            assert (await reports.client.get(path, headers=headers)).status_code in {303, 400, 401}
        held = cast(QueuePool, reports.service.engine.pool).checkedout()
    finally:
        gc.enable()

    assert held == 0


async def test_a_key_may_be_brought_in_any_case_of_bearer_but_in_no_other_way(reports: Stage) -> None:
    """Schemes are case-insensitive (RFC 9110, section 11.1); a cookie or a parameter opens no API."""
    await reports.hears(an_account())
    key = await a_key(reports)

    async def status(headers: dict[str, str], path: str = "/api/v1/csat/summary") -> int:
        return (await reports.client.get(path, headers=headers)).status_code

    assert await status({"Authorization": f"bearer {key}"}) == 200
    assert await status({"Authorization": f"Basic {key}"}) == 401
    assert await status({"Authorization": key}) == 401
    assert await status({"Cookie": f"closeloop_reports={key}"}) == 401
    assert await status({}, f"/api/v1/csat/summary?key={key}") == 401


async def test_only_the_digest_of_a_key_is_stored(reports: Stage) -> None:
    """Who reads the database cannot ask in an account's name."""
    await reports.hears(an_account())
    key = await a_key(reports)

    row = await reports.row(ApiKey)

    assert re.fullmatch(r"cl_[0-9a-f]{12}_[\w-]{43}", key)
    assert len(row.digest) == 32
    assert key.split("_", 2)[2] not in repr(vars(row))


async def test_an_operator_makes_lists_and_revokes_keys(reports: Stage, operator: Operator) -> None:
    """The key is shown once; the list names it by id; revoked, it opens nothing from then on."""
    await reports.hears(an_account())

    made = await operator.types("keys", "create", "acme", "--name", "Wall")
    key = made.output.strip()
    key_id = key.split("_")[1]
    assert (await ask(reports, "/summary", key=key)).status_code == 200

    listed = await operator.types("keys", "list")
    assert key_id in listed.output
    assert "Wall" in listed.output
    assert key.split("_", 2)[2] not in listed.output

    revoked = await operator.types("keys", "revoke", key_id)
    assert revoked.exit_code == 0
    assert (await ask(reports, "/summary", key=key)).status_code == 401

    first = (await reports.row(ApiKey)).revoked_at
    await operator.types("keys", "revoke", key_id)
    assert (await reports.row(ApiKey)).revoked_at == first


async def test_a_key_for_an_account_nobody_told_of_is_not_made(reports: Stage, operator: Operator) -> None:
    """A mistyped account is noticed at once and not by a report that stays empty."""
    made = await operator.types("keys", "create", "amce", "--name", "Wall")

    assert made.exit_code == 1
    assert "No account amce is known yet" in made.output
    assert await reports.count(ApiKey) == 0


async def test_revoking_a_key_that_is_none_says_so(reports: Stage, operator: Operator) -> None:
    """A mistyped id must not look like a revoked key."""
    revoked = await operator.types("keys", "revoke", "0123")

    assert revoked.exit_code == 1
    assert "There is no key 0123" in revoked.output


async def test_without_keys_the_list_says_so(reports: Stage, operator: Operator) -> None:
    """An empty table looks like a fault."""
    assert "No keys." in (await operator.types("keys", "list")).output


def bearer(key: str) -> dict[str, str]:
    """The header."""
    return {"Authorization": f"Bearer {key}"}
