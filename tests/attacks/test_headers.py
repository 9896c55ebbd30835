"""What a browser must be told with every answer: of every route, and of every way it can go wrong (S9, S31)."""

import re

import httpx
import pytest

from tests.attacks.visits import SERVICES, VISITS, Visit, opt_out_of
from tests.portal.conftest import mailed, reply
from tests.stage import Stage

ALWAYS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
DIRECTIVES = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "media-src 'self'",
    "connect-src 'self'",
    "worker-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}


def of_service(service: str) -> list[Visit]:
    """The service's routes."""
    return [visit for visit in VISITS if visit.service == service]


RUNS_NOTHING = {"sandbox", "default-src 'none'", "frame-ancestors 'none'"}
"""For what strangers and agents sent, whatever it is."""


def protects(answer: httpx.Response, of: object = None) -> None:
    """Whether an answer carries all of it."""
    is_file = answer.headers.get("content-disposition", "").startswith("attachment")
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS, of
    assert set(answer.headers["content-security-policy"].split("; ")) == (RUNS_NOTHING if is_file else DIRECTIVES), of
    assert "set-cookie" not in answer.headers, of
    assert "server" not in answer.headers, of


@pytest.mark.parametrize("service", SERVICES)
async def test_every_answer_protects_who_reads_it(
    stages: dict[str, Stage], pages: dict[str, str], service: str
) -> None:
    """Referer leaks, caching, indexing, sniffing, framing (clickjacking), injected code: refused by headers."""
    for visit in of_service(service):
        answer = await visit(stages[service], pages[service])

        protects(answer, visit)
        # Kept by nobody, but for what is named by its content.
        kept = "immutable" in answer.headers["cache-control"]
        assert kept is visit.route.startswith("/brand/{colour}"), visit
        assert kept or answer.headers["cache-control"] == "no-store", visit


@pytest.mark.parametrize("service", SERVICES)
async def test_methods_that_a_route_does_not_know_are_answered_as_well_protected(
    stages: dict[str, Stage], pages: dict[str, str], service: str
) -> None:
    """Unprotected error pages."""
    opt_out = await opt_out_of(stages["surveys"])
    for visit in of_service(service):
        path = visit.path.format(page=pages[service], code="x.1.y.z", opt_out=opt_out)
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "POST"):
            protects(await stages[service].client.request(method, path), visit)


@pytest.mark.parametrize("service", SERVICES)
async def test_whatever_goes_wrong_is_answered_with_all_headers(
    stages: dict[str, Stage], pages: dict[str, str], service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unprotected error pages: 400, 404, 405, 413, 422, 500 and 503 alike."""
    stage, page = stages[service], pages[service]
    form = {"content-type": "application/x-www-form-urlencoded"}
    answers = [
        await stage.client.post(page, content="body=a&body=b&score=1&score=2", headers=form),
        await stage.client.get("/nowhere"),
        await stage.client.get("/static/../../etc/passwd"),
        await stage.client.get("/static/%2e%2e/%2e%2e/settings.py"),
        await stage.client.get("/t/unknown"),
        await stage.client.get("/s/unknown"),
        await stage.client.delete(page),
        await stage.client.post(page, content=b"a" * 600_000, headers=form),
        await stage.client.post(page, data={"nothing": "right"}),
    ]
    for failure in (RuntimeError("secret of ours"), TimeoutError("secret of ours")):

        def fails(_failure: Exception = failure) -> None:
            raise _failure

        monkeypatch.setattr(stage.service, "clock", fails)
        monkeypatch.setattr(stage.app.state, "clock", fails)
        answers.append(await stage.client.get(page if service == "portal" else f"{page}/challenge"))

    for answer in answers:
        protects(answer)
        assert answer.headers["cache-control"] == "no-store"
        assert "secret of ours" not in answer.text
        assert "Traceback" not in answer.text
    assert {400, 404, 405, 413, 422, 500, 503} == {answer.status_code for answer in answers}


@pytest.mark.parametrize("service", SERVICES)
async def test_pages_hold_nothing_their_policy_would_refuse(
    stages: dict[str, Stage], pages: dict[str, str], service: str
) -> None:
    """Inline code: no script, style or handler in a page, so the policy needs no exception."""
    html = (await stages[service].client.get(pages[service])).text

    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", html)


async def test_the_answer_to_a_reply_that_was_taken_protects_as_well(portal: Stage) -> None:
    """Referer leaks: a redirect, too, has an address with a token."""
    answer = await reply(portal, await mailed(portal))

    assert answer.status_code == 303
    protects(answer)
