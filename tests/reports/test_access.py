"""Keys: what they open, what they do not, and how they are made and revoked."""

import gc
import re
from typing import cast

import httpx
import pytest
from sqlalchemy.pool import QueuePool

from services.reports.tables import ApiKey
from shared.contracts import ReasonGiven
from tests.builders import ADA, BEN, an_account
from tests.reports.conftest import Operator
from tests.reports.told import a_key, a_survey, answered, ask, submitted, told
from tests.stage import Stage

FIGURES = ["/summary", "/distribution", "/agents", "/priorities", "/channels", "/reasons", "/trend"]
RESPONSES = ["/responses", "/responses.csv", "/responses.parquet"]
PATHS = [*FIGURES, "/responses"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_shows_nothing_of_another_account(reports: Stage, path: str) -> None:
    """There is no way to name an account but to hold its key."""
    await reports.hears(an_account(), an_account(account_id="bolt", name="Bolt"))
    acme, bolt = await a_key(reports), await a_key(reports, "bolt")
    empty = await told(reports, path, key=bolt)

    slow = ReasonGiven(code="secret", text="secret")
    surveys = (a_survey(f"secret-{number}") for number in range(6))
    await reports.hears(*(submitted(survey, 1, comment="secret", reason=slow) for survey in surveys))

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
        held = cast(QueuePool, reports.service.engine.pool).checkedout() + reports.service.pool.lent
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


@pytest.mark.parametrize("path", [*FIGURES, *RESPONSES])
async def test_a_key_opens_what_its_scope_names(reports: Stage, path: str) -> None:
    """A screen on the wall needs no words of requesters. What is missing is said (RFC 6750, section 3.1)."""
    await reports.hears(an_account(), answered("s", 5, comment="secret"))
    own, other = ("figures", "responses") if path in FIGURES else ("responses", "figures")

    opened = await ask(reports, path, key=await a_key(reports, scopes=[own]))
    refused = await ask(reports, path, key=await a_key(reports, scopes=[other]))

    assert opened.status_code == 200
    assert refused.status_code == 403
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert f'error="insufficient_scope", scope="{own}"' in refused.headers["WWW-Authenticate"]
    assert refused.json()["detail"] == f"This key does not open {own}."


@pytest.fixture
async def two_agents(reports: Stage) -> Stage:
    """Ada's five and Ben's two responses, one of them after both had a hand in it."""
    await reports.hears(
        an_account(),
        *(answered(f"ada-{number}", 1, comment="Ada's words") for number in range(5)),
        answered("ben-1", 5, agent=BEN, comment="Ben's words"),
        answered("ben-2", 4, agent=BEN, last_replier=ADA),
    )
    return reports


@pytest.mark.parametrize("parameters", [{}, {"agent": "ben"}, {"attribution": "assignee"}])
async def test_a_key_of_one_agent_shows_nothing_of_others(two_agents: Stage, parameters: dict[str, str]) -> None:
    """Not in sums, not in lists, not in files, whether the agent is asked for or not."""
    key = await a_key(two_agents, agent_id="ben")
    answers = {path: await ask(two_agents, path, key=key, **parameters) for path in [*FIGURES, *RESPONSES[:2]]}

    assert {answer.status_code for answer in answers.values()} == {200}
    assert answers["/summary"].json()["satisfaction"]["responses"] == 2
    assert answers["/summary"].json()["covered"]["agent"] == "ben"
    assert [agent["agent_id"] for agent in answers["/agents"].json()["agents"]] == ["ben"]
    assert {each["survey_id"] for each in answers["/responses"].json()["responses"]} == {"ben-1", "ben-2"}
    assert answers["/responses.csv"].text.count("\r\n") == 3
    assert not [path for path, answer in answers.items() if "Ada's words" in answer.text or "ada-" in answer.text]


@pytest.mark.parametrize("path", [*FIGURES, *RESPONSES])
async def test_a_key_of_one_agent_is_refused_another(two_agents: Stage, path: str) -> None:
    """403, and the same for an agent that nobody has: who asks learns of none."""
    key = await a_key(two_agents, agent_id="ben")

    refused = [await ask(two_agents, path, key=key, agent=agent) for agent in ("ada", "nobody")]

    assert {answer.status_code for answer in refused} == {403}
    assert refused[0].text == refused[1].text
    assert refused[0].json()["detail"] == "This key shows one agent, and not this one."


async def test_a_cursor_of_another_agent_opens_nothing(two_agents: Stage) -> None:
    """A cursor must not tell which surveys there are."""
    key = await a_key(two_agents, agent_id="ben")

    answers = [await ask(two_agents, "/responses", key=key, cursor=cursor) for cursor in ("ada-1", "none", "ben-2")]

    assert [answer.status_code for answer in answers] == [400, 400, 200]


async def test_the_dashboard_keeps_to_the_agent_and_the_scope_of_the_key(two_agents: Stage) -> None:
    """It shows what the key shows."""
    of_ben = await a_key(two_agents, agent_id="ben")
    figures, responses = [await a_key(two_agents, scopes=[scope]) for scope in ("figures", "responses")]

    async def page(key: str, query: str = "") -> httpx.Response:
        return await two_agents.client.get(f"/csat{query}", headers={"Cookie": f"closeloop_reports={key}"})

    for query in ("", "?agent=ada"):
        shown = (await page(of_ben, query)).text
        assert "Ben Suzuki" in shown
        assert "Ada’s words" not in shown.replace("&#39;", "’")
    assert "words" not in (await page(figures)).text
    assert (await page(responses)).headers["location"] == "/sign-in"


async def test_an_operator_makes_keys_that_open_less(reports: Stage, operator: Operator) -> None:
    """And sees in the list what each opens."""
    await reports.hears(an_account())

    made = await operator.types("keys", "create", "acme", "--name", "Ada", "--agent", "a-7", "--scope", "figures")
    await operator.types("keys", "create", "acme", "--name", "Lead")
    listed = (await operator.types("keys", "list")).output
    wrong = await operator.types("keys", "create", "acme", "--name", "Ada", "--scope", "everything")

    summary = await ask(reports, "/summary", key=made.output.strip())
    assert (summary.status_code, summary.json()["covered"]["agent"]) == (200, "a-7")
    assert (await ask(reports, "/responses", key=made.output.strip())).status_code == 403
    rows = [[cell.strip() for cell in line.split("│")] for line in listed.splitlines()]
    assert [row[4:6] for row in rows if "Ada" in row] == [["figures", "a-7"]]
    assert [row[4:6] for row in rows if "Lead" in row] == [["figures, responses", ""]]
    assert wrong.exit_code == 2
    assert await reports.count(ApiKey) == 2
