"""Broken object level authorization, everywhere: one account's keys, links and ids open nothing of another's (S7, S8).

What is asked is read from the OpenAPI document and from the routes themselves, so a new operation, parameter or page is
asked, too.
"""

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from services.reports.tables import Rating
from services.surveys.survey import Survey
from tests.attacks.conftest import invited
from tests.attacks.test_tenants import rows_of
from tests.attacks.visits import SERVICES, VISITS, Visit, named, opt_out_of, routes_of
from tests.builders import a_reply_sent, a_ticket, a_ticket_resolved, an_account
from tests.portal.conftest import mailed
from tests.reports.told import a_key, answered, skipped
from tests.stage import Stage

ENDLESS = "/api/v1/csat/live"
"""Says 503 where nobody listens, as on stage, and no words where somebody does."""

WORDS = "words of acme"
AGENT = "Ada Okafor"
IDS = ("acme", "s-1", "s-2", "T-s-1", "ada")
"""What somebody else might know of Acme."""


@pytest.fixture
async def keys(reports: Stage) -> dict[str, str]:
    """Keys of two accounts; Acme alone has surveys."""
    await reports.hears(
        an_account(),
        an_account(account_id="evil", name="Evil"),
        answered("s-1", 5, comment=WORDS),
        answered("s-2", 1, comment=WORDS),
        skipped(),
    )
    return {account_id: await a_key(reports, account_id) for account_id in ("acme", "evil")}


async def operations(reports: Stage) -> list[tuple[str, str, list[str]]]:
    """Every operation of the document: method, path, and the names of its parameters."""
    document = (await reports.client.get("/api/v1/openapi.json")).json()
    return [
        (method.upper(), path, [parameter["name"] for parameter in operation.get("parameters", ())])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]


async def test_no_operation_and_no_parameter_shows_another_accounts_words(reports: Stage, keys: dict[str, str]) -> None:
    """Every parameter with every id of the other account, and names that it might go by if it had one."""
    asked = 0
    for method, path, parameters in await operations(reports):
        for name in (*parameters, "account", "account_id", "tenant", "key", "survey_id"):
            for value in IDS:
                answer = await reports.client.request(
                    method,
                    path,
                    params={name: value},
                    headers={"Authorization": f"Bearer {keys['evil']}", "X-Account-Id": "acme", "X-Tenant": "acme"},
                )
                asked += 1
                assert answer.status_code in {200, 400, 404} or path == ENDLESS, (path, name)
                assert WORDS not in answer.text
                assert AGENT not in answer.text
                if answer.status_code == 200:
                    assert not re.search(r'"(submitted|count|responses|score_\d)": ?[1-9]', answer.text), (path, name)
    assert asked >= 5 * 6 * len(IDS)


async def test_no_operation_and_no_parameter_shows_a_key_of_one_agent_the_words_about_another(
    reports: Stage, keys: dict[str, str]
) -> None:
    """Broken function level authorization: within an account as between accounts, by whichever way one asks."""
    headers = {"Authorization": f"Bearer {await a_key(reports, agent_id='eve')}"}
    for method, path, parameters in await operations(reports):
        for name in (*parameters, "agent_id"):
            for value in (*IDS, "assignee", "last_replier", "words", "5", "true"):
                answer = await reports.client.request(method, path, params={name: value}, headers=headers)
                assert answer.status_code in {200, 400, 403} or path == ENDLESS, (path, name)
                assert WORDS not in answer.text
                assert AGENT not in answer.text
                if answer.status_code == 200:
                    assert not re.search(r'"(submitted|count|responses|score_\d)": ?[1-9]', answer.text), (path, name)


async def test_an_id_of_another_account_is_answered_as_one_that_nobody_has(
    reports: Stage, keys: dict[str, str]
) -> None:
    """Enumeration: whoever asks for ids cannot find out which of them are taken elsewhere."""
    headers = {"Authorization": f"Bearer {keys['evil']}"}
    for method, path, parameters in await operations(reports):
        for name in parameters:
            pairs = [("s-1", "s-9"), ("ada", "ade"), ("acme", "acne")]
            for theirs, nobodys in pairs:
                one, other = [
                    await reports.client.request(method, path, params={name: value}, headers=headers)
                    for value in (theirs, nobodys)
                ]
                assert one.status_code == other.status_code
                assert one.text.replace(theirs, nobodys) == other.text


@pytest.mark.parametrize("agent", ["%", "_da", "ad%", "*", "a.a", "ada' OR '1'='1", "ADA", " ada", "ada\u200b"])
async def test_a_filter_is_an_id_and_no_pattern(reports: Stage, keys: dict[str, str], agent: str) -> None:
    """Wildcards in a search (S29): only the very id finds anything, in one's own account, too."""
    headers = {"Authorization": f"Bearer {keys['acme']}"}

    answer = await reports.client.get("/api/v1/csat/responses", params={"agent": agent}, headers=headers)

    assert answer.status_code in {200, 400}
    assert WORDS not in answer.text


async def test_two_keys_in_one_request_open_one_account(reports: Stage, keys: dict[str, str]) -> None:
    """Confused deputy: the cookie opens pages and the header the API, never one by the other."""
    theirs, cookie = {"Authorization": f"Bearer {keys['acme']}"}, {"Cookie": f"closeloop_reports={keys['evil']}"}

    page = await reports.client.get("/csat", headers={**theirs, **cookie})
    api = await reports.client.get("/api/v1/csat/summary", headers=cookie)

    assert page.status_code == 200
    assert WORDS not in page.text
    assert api.status_code == 401


async def test_no_part_of_a_key_and_another_key_open_anything(reports: Stage, keys: dict[str, str]) -> None:
    """Splicing: the name of one account's key with the secret of another's."""
    for one, other in (("acme", "evil"), ("evil", "acme")):
        spliced = keys[one][:16] + keys[other][16:]
        answer = await reports.client.get("/api/v1/csat/summary", headers={"Authorization": f"Bearer {spliced}"})
        assert answer.status_code == 401


async def test_a_page_of_the_dashboard_shows_nothing_of_another_account(reports: Stage, keys: dict[str, str]) -> None:
    """Every parameter that the page reads, with ids of the other account."""
    for name in ("agent", "account", "account_id", "period", "first", "last", "cursor"):
        for value in IDS:
            page = await reports.client.get(
                "/csat", params={name: value}, headers={"Cookie": f"closeloop_reports={keys['evil']}"}
            )
            assert page.status_code in {200, 400}
            assert WORDS not in page.text
            assert AGENT not in page.text


async def test_a_revoked_key_opens_nothing_of_its_own_account(reports: Stage, keys: dict[str, str]) -> None:
    """Sessions outlive their key: API and cookie both end with it."""
    async with reports.service.sessions.begin() as session:
        await session.execute(text("UPDATE api_keys SET revoked_at = now() WHERE account_id = 'acme'"))

    api = await reports.client.get("/api/v1/csat/summary", headers={"Authorization": f"Bearer {keys['acme']}"})
    page = await reports.client.get("/csat", headers={"Cookie": f"closeloop_reports={keys['acme']}"})

    assert (api.status_code, page.status_code, page.headers["location"]) == (401, 303, "/sign-in")
    assert await reports.count(Rating) == 2


def foreign(service: str) -> Iterator[Visit]:
    """Every route of a service that opens with a link."""
    return (visit for visit in VISITS if visit.service == service and "{token}" in visit.route)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_link_of_one_account_touches_nothing_of_another(
    stages: dict[str, Stage], service: str, subtests: pytest.Subtests
) -> None:
    """Every route with a link, its parameters and fields naming the other account's ticket and survey."""
    stage = stages[service]
    mine = await (mailed(stage) if service == "portal" else invited(stage))
    opt_out = mine if service == "portal" else await opt_out_of(stage)
    await stage.hears(an_account(account_id="evil", name="Evil"))
    ticket = a_ticket(ticket_id="T-evil", version=3, status="resolved", subject="Evil subject")
    if service == "portal":
        await stage.hears(a_reply_sent(account_id="evil", ticket=ticket, reply_id="evil-1", body="Evil words"))
    else:
        await stage.hears(a_ticket_resolved(account_id="evil", ticket=ticket))
    others = await other_ids(stage, service)
    visits = list(foreign(service))
    opt_out = await opt_out_of(stage) if service == "surveys" else ""
    assert {(visit.method, visit.route) for visit in visits} == {
        (method, route) for method, route in routes_of(stage) if "{token}" in route
    }
    before = await rows_of(stage, "evil")

    for visit in visits:
        with subtests.test(named(visit)):
            for name in ("token", "ticket_id", "account_id", "survey_id", "id", "about"):
                for value in others:
                    await stage.forget_visits()
                    answer = await stage.client.request(
                        visit.method,
                        visit.path.format(page=mine, code="", opt_out=opt_out),
                        params={name: value},
                        data={**dict(visit.form), name: value} if visit.form else None,
                    )
                    assert answer.status_code != 500
                    assert answer.status_code in {200, 303, 422} or visit.path not in {"{page}", "{opt_out}"}
                    assert "Evil" not in answer.text
    assert await rows_of(stage, "evil") == before


async def other_ids(stage: Stage, service: str) -> list[str]:
    """What somebody may know of the other account."""
    known = ["evil", "T-evil"]
    if service == "surveys":
        known.append(str((await stage.row(Survey, account_id="evil")).survey_id))
    return known
