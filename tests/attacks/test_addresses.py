"""Where links and redirects lead: to the configured address, whatever a request claims (S30, S32)."""

import re

import pytest

from tests.attacks.conftest import invited
from tests.builders import a_reply_sent, an_account
from tests.captcha import solved_widget
from tests.portal.conftest import URL, mailed, reply
from tests.reports.told import a_key
from tests.stage import Stage

CLAIMS = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Proto": "javascript",
    "X-Forwarded-Port": "666",
    "X-Original-URL": "//evil.example/",
    "X-Rewrite-URL": "//evil.example/",
    "Forwarded": "for=1.2.3.4;host=evil.example;proto=http",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example/",
}


async def test_a_claimed_host_is_in_no_page_redirect_or_event(portal: Stage) -> None:
    """Host header attacks: pages hold paths only, and mailed links begin with the setting."""
    path = await mailed(portal)

    pages = [await portal.client.get(path, headers=CLAIMS), await portal.client.post(path, data={}, headers=CLAIMS)]
    solved = await solved_widget(portal.client, f"{path}/challenge")
    taken = await portal.client.post(path, data={"body": "Hello", **solved}, headers=CLAIMS)
    await portal.hears(a_reply_sent(reply_id="a-2"))

    for answer in (*pages, taken):
        assert "evil" not in answer.text + str(answer.headers)
    assert taken.status_code == 303
    said = await portal.said()
    assert said[-1].link == URL + path
    assert "evil" not in str(said)


async def test_a_claimed_host_changes_no_survey_link(surveys: Stage) -> None:
    """Host header attacks, before the link exists: what somebody asked earlier is in nobody's email."""
    await surveys.client.get("/s/x", headers=CLAIMS)

    path = await invited(surveys)

    assert re.fullmatch(r"/s/[\w-]{43}", path)


REDIRECTS = [
    "?next=//evil.example",
    "?return_to=https://evil.example",
    "?url=https://evil.example&redirect=https://evil.example",
    "?sent=//evil.example",
    "?score=//evil.example",
    "//evil.example",
    "/%2f%2fevil.example",
    "/..%2f..%2f%2fevil.example",
    "\\evil.example",
    "/%5cevil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "@evil.example",
]


@pytest.mark.parametrize("tail", REDIRECTS)
async def test_no_redirect_leads_away(stages: dict[str, Stage], pages: dict[str, str], tail: str) -> None:
    """Open redirects and response splitting: the target is built of our own path, or there is none."""
    for service, stage in stages.items():
        for method in ("GET", "POST"):
            answer = await stage.client.request(method, pages[service] + tail)
            location = answer.headers.get("location", "")
            assert not location or re.fullmatch(r"/[ts]/[\w-]{43}(/thanks|\?sent=yes#sent)?", location)


@pytest.mark.parametrize("path", ["//evil.example", "//evil.example/%2e%2e", "/\\evil.example", "/%2f/evil.example/"])
async def test_no_slash_is_added_or_taken_away_by_a_redirect(stages: dict[str, Stage], path: str) -> None:
    """Open redirects by tidied addresses: //evil.example/ is another host to a browser."""
    for stage in stages.values():
        answer = await stage.client.get(f"http://testserver{path}")

        assert answer.status_code == 404
        assert "location" not in answer.headers


async def test_success_leads_back_to_the_same_link(portal: Stage) -> None:
    """Open redirects by form fields: none of them names a target."""
    path = await mailed(portal)

    answer = await reply(portal, path, next="//evil.example", redirect="//evil.example", return_to="//evil.example")

    assert answer.headers["location"] == f"{path}?sent=yes#sent"


async def test_signing_in_to_the_reports_leads_to_the_reports(reports: Stage) -> None:
    """Open redirects after a login."""
    await reports.hears(an_account())
    key = await a_key(reports)

    answer = await reports.client.post(
        "/session?next=//evil.example", data={"key": key, "next": "//evil.example"}, headers=CLAIMS
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/csat")
    assert "evil" not in str(answer.headers)
