"""Clients that have the figures already are told so in a few bytes."""

import pytest

from tests.builders import an_account
from tests.reports.told import a_key, answered, ask
from tests.stage import Stage

FIGURES = ["/summary", "/distribution", "/agents", "/priorities", "/channels", "/reasons", "/trend"]


async def get(stage: Stage, path: str, key: str, known: str | None = None):
    """Ask with the tag of what is known."""
    headers = {"Authorization": f"Bearer {key}", **({"If-None-Match": known} if known is not None else {})}
    return await stage.client.get(f"/api/v1/csat{path}", headers=headers)


@pytest.mark.parametrize("path", FIGURES)
async def test_figures_that_are_the_same_are_not_sent_again(reports: Stage, path: str) -> None:
    """304 without a body, under the same tag; a new response makes another."""
    await reports.hears(an_account(), answered("s", 5))
    key = await a_key(reports)
    first = await get(reports, path, key)
    tag = first.headers["ETag"]

    same = await get(reports, path, key, tag)

    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    for answer in (first, same):
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert answer.headers["Vary"] == "Authorization"
    assert "Content-Length" not in same.headers
    if path != "/reasons":
        await reports.hears(answered("t", 1))
        changed = await get(reports, path, key, tag)
        assert changed.status_code == 200
        assert changed.headers["ETag"] != tag


@pytest.mark.parametrize("known", ["W/{tag}", '"x", {tag}', '{tag},W/"y"', "*"])
async def test_tags_come_weak_and_in_lists(reports: Stage, known: str) -> None:
    """As proxies and clients write them. Source: RFC 9110, section 13.1.2."""
    await reports.hears(an_account())
    key = await a_key(reports)
    tag = (await get(reports, "/summary", key)).headers["ETag"]

    assert (await get(reports, "/summary", key, known.format(tag=tag))).status_code == 304


@pytest.mark.parametrize("known", ["", '""', "nonsense", '"*"', ",", "W/"])
async def test_other_tags_are_no_reason_to_send_nothing(reports: Stage, known: str) -> None:
    """Odd input: the answer is sent."""
    await reports.hears(an_account())

    assert (await get(reports, "/summary", await a_key(reports), known)).status_code == 200


async def test_a_tag_opens_nothing(reports: Stage) -> None:
    """Who has an answer of another account, or a key no more, is told nothing of it."""
    await reports.hears(an_account(), an_account(account_id="bolt"), answered("s", 5))
    tag = (await get(reports, "/summary", await a_key(reports))).headers["ETag"]

    assert (await get(reports, "/summary", await a_key(reports, "bolt"), tag)).status_code == 200
    refused = await get(reports, "/summary", "cl_x", "*")
    assert (refused.status_code, "ETag" in refused.headers) == (401, False)


async def test_responses_are_not_kept(reports: Stage) -> None:
    """What people said stays in no cache."""
    await reports.hears(an_account(), answered("s", 5))

    answer = await ask(reports, "/responses")

    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers
