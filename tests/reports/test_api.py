"""The API's figures on known data, its filters, and its pages of responses."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import get_args, get_type_hints
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.reports.answers import Skipped
from shared.contracts import SurveySkipped
from tests.builders import ADA, BEN, EVE, NOON, a_ticket, an_account
from tests.reports.told import a_key, a_survey, answered, created, expired, skipped, submitted, told
from tests.stage import Stage

DAY = timedelta(days=1)


async def test_the_summary_of_a_range(reports: Stage) -> None:
    """Average, CSAT and response rate with what they are made of."""
    asked = [a_survey(name) for name in ("open", "late", "undone", "bounced")]
    await reports.hears(
        an_account(time_zone="Europe/Berlin"),
        *(answered(f"s-{score}-{number}", score) for number, score in enumerate([5, 5, 4, 2])),
        *(created(survey) for survey in asked),
        expired(asked[1]),
        expired(asked[2], "reopened"),
        expired(asked[3], "undeliverable"),
        skipped(),
        skipped("no_address", ticket=a_ticket(ticket_id="T-9", version=3)),
    )

    summary = await told(reports, "/summary")

    assert summary["covered"] == {
        "from": "2026-02-01",
        "to": "2026-03-03",
        "time_zone": "Europe/Berlin",
        "agent": None,
        "priority": [],
        "channel": [],
        "attribution": "credited",
    }
    assert summary["satisfaction"]["responses"] == 4
    assert summary["satisfaction"]["average"] == 4.0
    csat = summary["satisfaction"]["csat"]
    assert (csat["n"], csat["value"]) == (4, 0.75)
    assert csat["low"] < 0.75 < csat["high"]
    assert (summary["response_rate"]["n"], summary["response_rate"]["value"]) == (6, pytest.approx(4 / 6))
    assert summary["surveys"] == {"pending": 1, "submitted": 4, "expired": 1, "withdrawn": 1, "undeliverable": 1}
    assert {reason: n for reason, n in summary["skipped"].items() if n} == {"disabled": 1, "no_address": 1}


async def test_without_responses_there_are_no_numbers_rather_than_zeros(reports: Stage) -> None:
    """Null says: nobody answered. 0 would say: everybody is unhappy."""
    await reports.hears(an_account())

    summary = await told(reports, "/summary")
    nothing = {"n": 0, "value": None, "low": None, "high": None}

    assert summary["satisfaction"] == {"responses": 0, "average": None, "average_interval": None, "csat": nothing}
    assert summary["response_rate"] == nothing
    assert (await told(reports, "/agents"))["agents"] == []
    assert (await told(reports, "/responses"))["responses"] == []
    assert [item["share"] for item in (await told(reports, "/distribution"))["scores"]] == [nothing] * 5


async def test_a_late_answer_counts_for_the_days_its_survey_was_sent_in(reports: Stage) -> None:
    """The response rate is by cohort: of those asked in January, how many ever answered."""
    january = a_survey(created_at=NOON - 40 * DAY)
    await reports.hears(an_account(), submitted(january, submitted_at=NOON))

    then = await told(reports, "/summary", from_="2026-01-01", to="2026-02-01")
    now = await told(reports, "/summary", from_="2026-03-01", to="2026-04-01")

    assert (then["response_rate"]["value"], then["satisfaction"]["responses"]) == (1.0, 0)
    assert (now["response_rate"]["value"], now["satisfaction"]["responses"]) == (None, 1)


async def test_the_distribution_counts_each_score(reports: Stage) -> None:
    """All five, in order, with shares of the same whole."""
    await reports.hears(an_account(), *(answered(f"s-{number}", score) for number, score in enumerate([1, 4, 4, 5])))

    scores = (await told(reports, "/distribution"))["scores"]

    assert [(item["score"], item["responses"], item["share"]["value"]) for item in scores] == [
        (1, 1, 0.25),
        (2, 0, 0.0),
        (3, 0, 0.0),
        (4, 2, 0.5),
        (5, 1, 0.25),
    ]
    assert {item["share"]["n"] for item in scores} == {4}


async def test_agents_are_listed_best_first_with_their_newest_names(reports: Stage) -> None:
    """Five responses make a rank, fewer do not, and what was nobody's comes last."""
    renamed = type(ADA)(agent_id="ada", name="Ada Okafor-Lind", email=ADA.email)
    await reports.hears(
        an_account(),
        *(answered(f"a-{number}", 5, at=NOON - number * DAY) for number in range(1, 5)),
        answered("a-0", 4, agent=renamed),
        *(answered(f"b-{number}", 4, agent=BEN) for number in range(4)),
        *(answered(f"e-{number}", 3, agent=EVE) for number in range(5)),
        answered("nobody", 1, agent=None),
    )

    agents = (await told(reports, "/agents"))["agents"]

    assert [(agent["agent_id"], agent["name"], agent["rank"]) for agent in agents] == [
        ("ada", "Ada Okafor-Lind", 1),
        ("eve", "Eve Larsen", 2),
        ("ben", "Ben Suzuki", None),
        (None, None, None),
    ]
    assert agents[0]["satisfaction"]["average"] == 4.8
    assert agents[1]["satisfaction"]["csat"]["value"] == 0.0


async def test_the_agent_filter_holds_on_both_sides_of_every_share(reports: Stage) -> None:
    """An agent's response rate is of the surveys about that agent, not of everybody's."""
    bens = a_survey("b-open", agent=BEN)
    await reports.hears(
        an_account(),
        *(answered(f"a-{number}", 1) for number in range(7)),
        answered("b", 5, agent=BEN),
        created(bens),
        skipped(),
    )

    summary = await told(reports, "/summary", agent="ben")
    distribution = await told(reports, "/distribution", agent="ben")
    trend = await told(reports, "/trend", agent="ben")
    responses = await told(reports, "/responses", agent="ben")
    agents = await told(reports, "/agents", agent="ben")

    assert (summary["satisfaction"]["csat"]["n"], summary["satisfaction"]["average"]) == (1, 5.0)
    assert (summary["response_rate"]["n"], summary["response_rate"]["value"]) == (2, 0.5)
    assert set(summary["skipped"].values()) == {0}
    assert sum(item["responses"] for item in distribution["scores"]) == 1
    assert sum(period["satisfaction"]["responses"] for period in trend["periods"]) == 1
    assert [response["survey_id"] for response in responses["responses"]] == ["b"]
    assert [agent["agent_id"] for agent in agents["agents"]] == ["ben"]
    assert summary["covered"]["agent"] == "ben"


async def test_from_is_in_and_to_is_out(reports: Stage) -> None:
    """Half-open ranges can be laid side by side: no response is counted twice, none falls between."""
    await reports.hears(
        an_account(),
        *(answered(f"s-{day}", 5, at=datetime(2026, 2, day, 12, tzinfo=UTC)) for day in (9, 10, 11, 12)),
    )

    responses = (await told(reports, "/responses", from_="2026-02-10", to="2026-02-12"))["responses"]

    assert [response["survey_id"] for response in responses] == ["s-11", "s-10"]


async def test_a_day_is_a_day_in_the_accounts_time_zone_across_a_change_of_clocks(reports: Stage) -> None:
    """Berlin's 29 March 2026 has 23 hours: from 23:00 to 22:00 UTC."""
    moments = {
        "saturday": datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC),
        "first": datetime(2026, 3, 28, 23, 0, tzinfo=UTC),
        "last": datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC),
        "monday": datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
    }
    await reports.hears(
        an_account(time_zone="Europe/Berlin"), *(answered(name, 5, at=moment) for name, moment in moments.items())
    )
    sunday = {"from_": "2026-03-29", "to": "2026-03-30"}

    responses = (await told(reports, "/responses", **sunday))["responses"]
    trend = await told(reports, "/trend", from_="2026-03-28", to="2026-03-31")
    summary = await told(reports, "/summary", **sunday)

    assert [response["survey_id"] for response in responses] == ["last", "first"]
    assert [period["satisfaction"]["responses"] for period in trend["periods"]] == [1, 2, 1]
    assert (summary["satisfaction"]["responses"], summary["surveys"]["submitted"]) == (2, 2)


async def test_the_default_range_ends_with_the_accounts_today(reports: Stage) -> None:
    """When it is still Monday in Greenwich and Tuesday in Auckland, Auckland's Tuesday is in."""
    reports.clock.now = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
    await reports.hears(an_account(time_zone="Pacific/Auckland"), answered("s", 5, at=reports.clock.now))

    summary = await told(reports, "/summary")

    assert (summary["covered"]["from"], summary["covered"]["to"]) == ("2026-02-02", "2026-03-04")
    assert summary["satisfaction"]["responses"] == 1


async def test_a_trend_has_no_gaps_and_its_weeks_start_on_monday(reports: Stage) -> None:
    """A chart drawn from it needs no calendar of its own; a period cut by the range says so in its days."""
    await reports.hears(
        an_account(),
        answered("sun", 2, at=datetime(2026, 2, 1, 12, tzinfo=UTC)),
        answered("mon", 4, at=datetime(2026, 2, 2, 12, tzinfo=UTC)),
        answered("next-sun", 5, at=datetime(2026, 2, 8, 12, tzinfo=UTC)),
    )

    trend = await told(reports, "/trend", from_="2026-02-01", to="2026-02-18", granularity="week")

    figures = [(period["from"], period["to"], period["satisfaction"]["average"]) for period in trend["periods"]]
    assert figures == [
        ("2026-02-01", "2026-02-02", 2.0),
        ("2026-02-02", "2026-02-09", 4.5),
        ("2026-02-09", "2026-02-16", None),
        ("2026-02-16", "2026-02-18", None),
    ]
    assert trend["granularity"] == "week"


async def test_a_trend_by_month_and_by_day(reports: Stage) -> None:
    """Months are calendar months; day is what one gets without asking."""
    await reports.hears(an_account(), answered("s", 3, at=datetime(2026, 2, 28, 12, tzinfo=UTC)))
    range_ = {"from_": "2026-01-15", "to": "2026-03-02"}

    months = (await told(reports, "/trend", granularity="month", **range_))["periods"]
    days = (await told(reports, "/trend", **range_))["periods"]

    assert [(month["from"], month["satisfaction"]["responses"]) for month in months] == [
        ("2026-01-15", 0),
        ("2026-02-01", 1),
        ("2026-03-01", 0),
    ]
    assert len(days) == 46
    assert [day["from"] for day in days if day["satisfaction"]["responses"]] == ["2026-02-28"]


async def test_a_response_is_told_whole(reports: Stage) -> None:
    """What a team lead needs to follow it up."""
    await reports.hears(
        an_account(),
        answered("s-1", 2, comment="Too slow,\nsorry.", channel="chat", priority="high", agent=None, last_replier=BEN),
    )

    (response,) = (await told(reports, "/responses"))["responses"]

    assert response == {
        "survey_id": "s-1",
        "ticket_id": "T-s-1",
        "subject": "Tent pole broke",
        "requester_name": "Rita Gómez",
        "agent_id": None,
        "agent_name": None,
        "assignee_id": None,
        "assignee_name": None,
        "last_replier_id": "ben",
        "last_replier_name": "Ben Suzuki",
        "priority": "high",
        "channel": "chat",
        "score": 2,
        "reason": None,
        "comment": "Too slow,\nsorry.",
        "submitted_at": "2026-03-02T12:00:00Z",
        "ticket_url": "https://desk.example/acme/T-s-1",
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_of_responses_hold_each_once_newest_first(reports: Stage, limit: int) -> None:
    """Also where several came at the same moment, and where the last page is just full."""
    moments = [NOON - timedelta(hours=hours) for hours in (0, 0, 0, 20, 20, 50)]
    await reports.hears(an_account(), *(answered(f"s-{number}", 5, at=moment) for number, moment in enumerate(moments)))
    key = await a_key(reports)

    seen, cursor = [], None
    while True:
        page = await told(reports, "/responses", key=key, limit=limit, **({"cursor": cursor} if cursor else {}))
        assert 0 < len(page["responses"]) <= limit
        seen += [response["survey_id"] for response in page["responses"]]
        assert len(seen) <= len(moments)
        cursor = page["next"]
        if cursor is None:
            break

    assert seen == ["s-2", "s-1", "s-0", "s-4", "s-3", "s-5"]


async def test_a_response_that_comes_while_paging_shifts_nothing(reports: Stage) -> None:
    """The cursor is a place in the order, not a number of rows."""
    await reports.hears(an_account(), *(answered(f"s-{day}", 5, at=NOON - day * DAY) for day in range(1, 5)))
    first = await told(reports, "/responses", limit=2)
    await reports.hears(answered("new", 1))

    second = await told(reports, "/responses", limit=2, cursor=first["next"])

    assert [response["survey_id"] for response in second["responses"]] == ["s-3", "s-4"]


ratings = st.lists(
    st.tuples(
        st.integers(0, 9 * 24 * 60).map(lambda minutes: datetime(2026, 3, 25, tzinfo=UTC) + timedelta(minutes=minutes)),
        st.sampled_from([ADA, BEN, None]),
        st.sampled_from([None, 1, 2, 3, 4, 5]),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ratings=ratings,
    start=st.dates(date(2026, 3, 25), date(2026, 4, 1)),
    length=st.integers(1, 8),
    agent=st.sampled_from([None, ADA]),
)
async def test_every_figure_is_what_a_loop_over_all_ratings_gives(
    reports_stage: Stage, ratings: list, start: date, length: int, agent
) -> None:
    """The SQL against an oracle that knows none: plain Python over the list, local dates and all."""
    berlin = ZoneInfo("Europe/Berlin")
    await reports_stage.clear()
    await reports_stage.hears(
        an_account(time_zone="Europe/Berlin"),
        *(
            answered(f"s-{number}", score, at=at, agent=by)
            if score
            else created(a_survey(f"s-{number}", created_at=at, agent=by))
            for number, (at, by, score) in enumerate(ratings)
        ),
    )
    end = start + length * DAY
    by_day, pending, by_agent = defaultdict(list), 0, defaultdict(list)
    for at, by, score in ratings:
        day = at.astimezone(berlin).date()
        if not start <= day < end or (agent and by != agent):
            continue
        if score is None:
            pending += 1
            continue
        by_day[day].append(score)
        by_agent[by.agent_id if by else None].append(score)
    scores = [score for some in by_day.values() for score in some]

    asked = {"key": await a_key(reports_stage), "from_": str(start), "to": str(end)}
    asked |= {"agent": agent.agent_id} if agent else {}
    summary = await told(reports_stage, "/summary", **asked)
    distribution = await told(reports_stage, "/distribution", **asked)
    agents = await told(reports_stage, "/agents", **asked)
    trend = await told(reports_stage, "/trend", **asked)

    assert summary["satisfaction"]["responses"] == len(scores)
    assert summary["satisfaction"]["average"] == (pytest.approx(sum(scores) / len(scores)) if scores else None)
    assert summary["surveys"]["pending"] == pending
    assert summary["response_rate"]["n"] == len(scores) + pending
    assert [item["responses"] for item in distribution["scores"]] == [scores.count(score) for score in range(1, 6)]
    assert {item["agent_id"]: item["satisfaction"]["responses"] for item in agents["agents"]} == {
        agent_id: len(some) for agent_id, some in by_agent.items()
    }
    assert [period["satisfaction"]["responses"] for period in trend["periods"]] == [
        len(by_day[start + number * DAY]) for number in range(length)
    ]


def test_the_summary_has_a_place_for_every_reason_a_survey_was_skipped() -> None:
    """A reason that surveys learns is one that reports can count."""
    reasons = get_args(get_type_hints(SurveySkipped)["reason"])

    assert set(reasons) == set(Skipped.__struct_fields__)
