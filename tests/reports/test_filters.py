"""Filters, the parts of a whole, the days before, and the search for responses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts import ReasonGiven
from tests.builders import ADA, BEN, EVE, NOON, a_ticket, an_account
from tests.reports.told import a_key, a_survey, answered, ask, created, skipped, submitted, told
from tests.stage import Stage

DAY = timedelta(days=1)
FIGURES = ["/summary", "/distribution", "/agents", "/priorities", "/channels", "/reasons", "/trend"]


@pytest.fixture
async def account(reports: Stage) -> Stage:
    """An account with tickets of every sort. Eve answered last on what is Ada's, and on what is nobody's."""
    await reports.hears(
        an_account(),
        answered("ada-high-chat", 5, priority="high", channel="chat", last_replier=EVE),
        answered("ada-low-email", 2, priority="low", channel="email", last_replier=EVE),
        answered("ben-high-email", 4, priority="high", channel="email", agent=BEN, last_replier=BEN),
        answered("eve-high-chat", 1, priority="high", channel="chat", agent=EVE, assignee=None, last_replier=EVE),
        created(a_survey("open", priority="high", channel="web", agent=BEN)),
        skipped(ticket=a_ticket(version=3, priority="high", channel="chat", assignee=ADA)),
    )
    return reports


@pytest.mark.parametrize(
    ("filters", "surveys"),
    [
        ({"priority": "high"}, {"ada-high-chat", "ben-high-email", "eve-high-chat"}),
        ({"priority": ["high", "low"]}, {"ada-high-chat", "ada-low-email", "ben-high-email", "eve-high-chat"}),
        ({"priority": "urgent"}, set()),
        ({"channel": "chat"}, {"ada-high-chat", "eve-high-chat"}),
        ({"channel": ["chat", "email"], "priority": "low"}, {"ada-low-email"}),
        ({"channel": "CHAT"}, set()),
        ({"agent": "eve"}, {"eve-high-chat"}),
        ({"agent": "eve", "attribution": "assignee"}, set()),
        ({"agent": "eve", "attribution": "last_replier"}, {"ada-high-chat", "ada-low-email", "eve-high-chat"}),
        ({"agent": "eve", "attribution": "last_replier", "priority": "high"}, {"ada-high-chat", "eve-high-chat"}),
        ({"agent": "ada", "attribution": "assignee", "channel": "email"}, {"ada-low-email"}),
    ],
)
async def test_every_report_counts_the_responses_that_fit_and_lists_them(
    account: Stage, filters: dict[str, Any], surveys: set[str]
) -> None:
    """One choice of tickets for all, so that a figure leads to the responses it is made of."""
    key = await a_key(account)
    summary, distribution, agents, priorities, channels, _, trend = [
        await told(account, path, key=key, **filters) for path in FIGURES
    ]
    responses = (await told(account, "/responses", key=key, **filters))["responses"]

    n = len(surveys)
    assert {response["survey_id"] for response in responses} == surveys
    assert summary["satisfaction"]["responses"] == n
    assert summary["surveys"]["submitted"] == n
    for parts in (agents["agents"], priorities["priorities"], channels["channels"], trend["periods"]):
        assert sum(part["satisfaction"]["responses"] for part in parts) == n
    assert sum(score["responses"] for score in distribution["scores"]) == n


async def test_filters_hold_on_both_sides_of_a_response_rate_and_for_skipped_surveys(account: Stage) -> None:
    """Of the urgent surveys, those that were answered: not of all surveys."""
    high = await told(account, "/summary", priority="high")
    web = await told(account, "/summary", channel="web")
    low = await told(account, "/summary", priority="low")

    assert (high["response_rate"]["n"], high["response_rate"]["value"]) == (4, 0.75)
    assert (web["response_rate"]["n"], web["response_rate"]["value"]) == (1, 0.0)
    assert (low["response_rate"]["n"], low["response_rate"]["value"]) == (1, 1.0)
    assert (high["skipped"]["disabled"], low["skipped"]["disabled"]) == (1, 0)
    assert high["covered"]["priority"] == ["high"]


async def test_agents_by_each_rule_have_the_names_that_go_with_it(account: Stage) -> None:
    """Nobody's are those without an assignee, or those that nobody replied to."""

    async def names(rule: str) -> dict[str | None, int]:
        agents = (await told(account, "/agents", attribution=rule))["agents"]
        return {agent["name"]: agent["satisfaction"]["responses"] for agent in agents}

    assert await names("credited") == {"Ada Okafor": 2, "Ben Suzuki": 1, "Eve Larsen": 1}
    assert await names("assignee") == {"Ada Okafor": 2, "Ben Suzuki": 1, None: 1}
    assert await names("last_replier") == {"Ben Suzuki": 1, "Eve Larsen": 3}


@pytest.mark.parametrize("rule", ["credited", "assignee", "last_replier"])
async def test_agents_have_their_newest_names_by_each_rule(reports: Stage, rule: str) -> None:
    """Who married last week is not listed twice, and not by the name before."""
    renamed = type(ADA)(agent_id="ada", name="Ada Okafor-Lind", email=ADA.email)
    await reports.hears(
        an_account(),
        answered("new", 5, agent=renamed, last_replier=renamed),
        *(answered(f"old-{day}", 5, at=NOON - day * DAY, last_replier=ADA) for day in range(1, 4)),
    )

    agents = (await told(reports, "/agents", attribution=rule))["agents"]

    assert [(agent["name"], agent["satisfaction"]["responses"]) for agent in agents] == [("Ada Okafor-Lind", 4)]


async def test_priorities_come_urgent_first_and_channels_by_their_responses(account: Stage) -> None:
    """Each with its figures and its response rate, also where nobody answered yet."""
    priorities = (await told(account, "/priorities"))["priorities"]
    channels = (await told(account, "/channels"))["channels"]

    assert [(each["priority"], each["satisfaction"]["responses"]) for each in priorities] == [("high", 3), ("low", 1)]
    assert [each["channel"] for each in channels] == ["chat", "email", "web"]
    assert channels[2]["response_rate"]["n"] == 1
    assert channels[2]["satisfaction"]["average"] is None


async def test_reasons_are_counted_most_frequent_first(reports: Stage) -> None:
    """Of the responses that gave one, which is the share's whole."""
    slow, wrong = ReasonGiven(code="slow", text="Slow"), ReasonGiven(code="wrong", text="Wrong")
    given = [slow, wrong, slow, None]
    await reports.hears(
        an_account(),
        *(submitted(a_survey(f"s-{number}"), 1, reason=reason) for number, reason in enumerate(given)),
        submitted(a_survey("old"), 1, reason=wrong, submitted_at=NOON - 90 * DAY),
    )

    reasons = (await told(reports, "/reasons"))["reasons"]
    found = (await told(reports, "/responses", reason="slow"))["responses"]

    assert [(each["reason"], each["responses"], each["share"]["n"]) for each in reasons] == [
        ("slow", 2, 3),
        ("wrong", 1, 3),
    ]
    assert [(response["survey_id"], response["reason"]) for response in found] == [("s-2", "slow"), ("s-0", "slow")]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ({"score": "1"}, {"a"}),
        ({"score": ["1", "5"]}, {"a", "c"}),
        ({"commented": "true"}, {"a", "b"}),
        ({"commented": "false"}, {"a", "b", "c"}),
        ({"q": "SLOW"}, {"a"}),
        ({"q": "übel"}, {"b"}),
        ({"q": "pole"}, {"a", "b", "c"}),
        ({"q": "gómez"}, {"a", "b", "c"}),
        ({"q": "100%"}, {"b"}),
        ({"q": "0%"}, {"b"}),
        ({"q": "s_ow"}, set()),
        ({"q": "%"}, {"b"}),
        ({"q": "\\"}, set()),
        ({"q": "/"}, {"b"}),
        ({"q": "'; DROP TABLE ratings --"}, set()),
        ({"q": "slow", "score": "5"}, set()),
    ],
)
async def test_responses_are_searched(reports: Stage, search: dict[str, Any], found: set[str]) -> None:
    """Words are looked for as they are: no sign in them is a pattern."""
    await reports.hears(
        an_account(),
        answered("a", 1, comment="So slow."),
        answered("b", 4, comment="ÜBEL, 100% and/or"),
        answered("c", 5),
    )

    responses = (await told(reports, "/responses", **search))["responses"]

    assert {response["survey_id"] for response in responses} == found


async def test_pages_hold_each_response_once_under_filters(reports: Stage) -> None:
    """A cursor is a place in the order, whatever is left out between."""
    scores = [5, 1, 5, 1, 5, 1, 5]
    await reports.hears(
        an_account(),
        *(answered(f"s-{number}", score, at=NOON - number * DAY) for number, score in enumerate(scores)),
    )
    key, seen, cursor = await a_key(reports), [], None
    while True:
        page = await told(
            reports, "/responses", key=key, score=5, limit=1, q="pole", **({"cursor": cursor} if cursor else {})
        )
        seen += [response["survey_id"] for response in page["responses"]]
        if (cursor := page["next"]) is None:
            break

    assert seen == ["s-0", "s-2", "s-4", "s-6"]


async def test_a_cursor_that_the_search_no_longer_finds_still_has_its_place(reports: Stage) -> None:
    """Who pages while a comment is deleted goes on from there."""
    await reports.hears(an_account(), *(answered(f"s-{day}", day, at=NOON - day * DAY) for day in range(1, 5)))

    page = await told(reports, "/responses", score=[3, 4], cursor="s-2")

    assert [response["survey_id"] for response in page["responses"]] == ["s-3", "s-4"]


async def test_a_preset_is_a_range_in_the_accounts_days(reports: Stage) -> None:
    """It is Tuesday the 3rd in Auckland already."""
    reports.clock.now = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
    await reports.hears(an_account(time_zone="Pacific/Auckland"))

    month = await told(reports, "/summary", preset="this_month")
    today = await told(reports, "/trend", preset="today")

    assert (month["covered"]["from"], month["covered"]["to"]) == ("2026-03-01", "2026-03-04")
    assert (month["previous"]["from"], month["previous"]["to"]) == ("2026-02-01", "2026-03-01")
    assert [period["from"] for period in today["periods"]] == ["2026-03-03"]


async def test_the_summary_compares_with_the_days_before_by_the_same_filters(reports: Stage) -> None:
    """As many days right before; a difference that the interval tells from noise says so."""
    before = NOON - 7 * DAY
    await reports.hears(
        an_account(),
        *(answered(f"now-{number}", score) for number, score in enumerate([5, 5, 5, 5, 5, 5, 5, 4])),
        *(answered(f"then-{number}", score, at=before) for number, score in enumerate([1, 1, 2, 2, 3, 5])),
        *(answered(f"ben-{number}", 5, at=before, agent=BEN) for number in range(9)),
        *(answered(f"older-{number}", 5, at=NOON - 20 * DAY) for number in range(9)),
    )

    previous = (await told(reports, "/summary", preset="last_7_days", agent="ada"))["previous"]

    assert (previous["from"], previous["to"]) == ("2026-02-17", "2026-02-24")
    assert (previous["average"]["n"], previous["average"]["before"]) == (6, pytest.approx(14 / 6))
    assert previous["average"]["difference"] == pytest.approx(39 / 8 - 14 / 6)
    assert previous["average"]["more_than_noise"] is True
    csat = previous["csat"]
    assert (csat["before"], csat["difference"]) == (pytest.approx(1 / 6), pytest.approx(5 / 6))
    assert 0 < csat["low"] < csat["difference"] < csat["high"] <= 1
    assert csat["more_than_noise"] is True
    assert previous["response_rate"]["difference"] == 0.0
    assert previous["response_rate"]["more_than_noise"] is False


async def test_too_few_are_not_compared(reports: Stage) -> None:
    """What was before is told; how that differs is not made up from four responses."""
    await reports.hears(
        an_account(),
        *(answered(f"now-{number}", 5) for number in range(9)),
        *(answered(f"then-{number}", number + 1, at=NOON - 7 * DAY) for number in range(4)),
    )

    previous = (await told(reports, "/summary", preset="last_7_days"))["previous"]

    for figure, value in (("average", 2.5), ("csat", 0.25), ("response_rate", 1.0)):
        assert previous[figure] == {
            "n": 4,
            "before": value,
            "difference": None,
            "low": None,
            "high": None,
            "more_than_noise": None,
        }


async def test_the_address_of_a_ticket_keeps_ids_in_their_places(reports: Stage) -> None:
    """An id is whatever a help desk says: it must not lead elsewhere."""
    await reports.hears(an_account(), answered("s", 5, ticket_id="../../{account}?x=1#y"))

    (response,) = (await told(reports, "/responses"))["responses"]

    assert response["ticket_url"] == "https://desk.example/acme/..%2F..%2F%7Baccount%7D%3Fx%3D1%23y"


async def test_values_given_twice_count_once(account: Stage) -> None:
    """A link that was put together carelessly still says what it means."""
    summary = await told(account, "/summary", priority=["high", "high"], channel=["chat", "chat"])

    assert (summary["covered"]["priority"], summary["covered"]["channel"]) == (["high"], ["chat"])
    assert (await ask(account, "/summary", agent=["ada", "ada"])).status_code == 400
