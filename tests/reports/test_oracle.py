"""Every figure of the API against what the raw events come to, in plain Python that shares no code with reports."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from statistics import fmean
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from shared.chassis.inbox import InboxMessage
from shared.contracts import Event, ReasonGiven, Survey, SurveyExpired, SurveySkipped, SurveySubmitted
from shared.contracts.survey import SkipReason
from tests.builders import ADA, BEN, EVE, a_ticket, an_account
from tests.reports.told import a_key, a_survey, created, expired, skipped, submitted, told
from tests.stage import Stage, delivery_of

# Clocks go forward and back within the days below: by an hour or by half of one, north and south.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland", "Asia/Kathmandu", "UTC")
BEGIN, DAYS = datetime(2026, 3, 1, tzinfo=UTC), 45
AGENTS = (ADA, BEN, EVE, None)
PRIORITIES = ("low", "normal", "high", "urgent")
CHANNELS = ("email", "chat", "phone")
ENDS = (
    *("open", "answered", "answered", "answered", "unanswered", "reopened", "undeliverable", "skipped"),
    *("never sent", "undeliverable and answered", "undeliverable and reopened"),
)
Z = 1.959963984540054


@st.composite
def resolutions(draw: st.DrawFn, account_id: str) -> list[Event]:
    """Draw what surveys tells of an account's resolutions."""
    count = draw(st.integers(0, 3) | st.integers(25, 50))  # next to nothing, or enough to rank and to compare
    return [event for number in range(count) for event in draw(resolution(account_id, f"R-{number}"))]


@st.composite
def resolution(draw: st.DrawFn, account_id: str, name: str) -> list[Event]:
    """Draw what surveys tells of one resolution: that somebody was asked or not, and what came of it."""
    at = BEGIN + timedelta(minutes=15 * draw(st.integers(0, DAYS * 96)))
    later = at + timedelta(minutes=15 * draw(st.integers(0, 400)))
    end = draw(st.sampled_from(ENDS))
    facts = {
        "ticket_id": name,
        "priority": draw(st.sampled_from(PRIORITIES)),
        "channel": draw(st.sampled_from(CHANNELS)),
        "assignee": draw(st.sampled_from(AGENTS)),
        "last_replier": draw(st.sampled_from(AGENTS)),
    }
    survey = a_survey(name, agent=facts["assignee"] or facts["last_replier"], created_at=at, **facts)
    if draw(st.integers(0, 5)) == 0:  # by a release that told of no agent but the credited one
        survey = replace(survey, assignee=None, last_replier=None)

    def ended(reason: Any) -> SurveyExpired:
        return expired(survey, reason, account_id=account_id, expired_at=at if "and" in end else later)

    events: list[Event] = [] if end == "never sent" else [created(survey, account_id=account_id)]
    if end in {"unanswered", "reopened", "undeliverable", "skipped"}:
        events.append(ended(end))
    if end.startswith("undeliverable and"):
        events.append(ended("undeliverable"))
    if end.endswith("and reopened"):
        events.append(expired(survey, "reopened", account_id=account_id, expired_at=later))
    if end in {"never sent", "skipped"}:
        why = draw(st.sampled_from(get_args(SkipReason)))
        ticket = a_ticket(version=survey.resolved_version, **facts)
        events.append(skipped(why, account_id=account_id, ticket=ticket, skipped_at=later))
    if end.endswith("answered") and end != "unanswered":
        score = draw(st.integers(1, 5))
        code = draw(st.sampled_from((None, "slow", "rude"))) if score <= 2 else None
        reason = ReasonGiven(code=code, text=code) if code else None
        events.append(submitted(survey, score, account_id=account_id, submitted_at=later, reason=reason))
    return events


@dataclass(frozen=True)
class Asked:
    """What somebody wants to know."""

    start: date
    end: date
    agent: str | None
    attribution: str
    priority: tuple[str, ...]
    channel: tuple[str, ...]

    @property
    def parameters(self) -> dict[str, Any]:
        given = {"agent": self.agent, "priority": list(self.priority), "channel": list(self.channel)}
        return {
            "from_": self.start.isoformat(),
            "to": self.end.isoformat(),
            "attribution": self.attribution,
            **{name: value for name, value in given.items() if value},
        }

    def agent_of(self, about: Any) -> str | None:
        """Whose a survey or a ticket is."""
        credited = about.agent if isinstance(about, Survey) else about.assignee or about.last_replier
        agent = {"credited": credited, "assignee": about.assignee, "last_replier": about.last_replier}[self.attribution]
        return agent.agent_id if agent else None

    def fits(self, about: Any) -> bool:
        """Whether a survey or a ticket is meant, whatever its day."""
        return (
            (not self.agent or self.agent_of(about) == self.agent)
            and (not self.priority or about.priority in self.priority)
            and (not self.channel or about.channel in self.channel)
        )

    def has(self, day: date) -> bool:
        """Whether the day is in the range."""
        return self.start <= day < self.end


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """Draw a range and filters."""
    start = BEGIN.date() + timedelta(days=draw(st.integers(-5, DAYS)))
    return Asked(
        start=start,
        end=start + timedelta(days=draw(st.integers(1, DAYS + 10))),
        agent=draw(st.sampled_from((None, None, "ada", "eve"))),
        attribution=draw(st.sampled_from(("credited", "credited", "assignee", "last_replier"))),
        priority=draw(st.sampled_from(((), (), ("high",), ("low", "urgent")))),
        channel=draw(st.sampled_from(((), (), ("chat",), ("email", "phone")))),
    )


class Oracle:
    """What is true of one account, by its events."""

    def __init__(self, events: Sequence[Any], zone: str) -> None:
        self.zone = ZoneInfo(zone)
        self.surveys: dict[str, Survey] = {}
        self.answers: dict[str, SurveySubmitted] = {}
        self.ends: dict[str, set[str]] = {}
        self.skips: list[SurveySkipped] = []
        for event in events:
            if isinstance(event, SurveySkipped):
                self.skips.append(event)
                continue
            self.surveys[event.survey.survey_id] = event.survey
            if isinstance(event, SurveySubmitted):
                self.answers[event.survey.survey_id] = event
            if isinstance(event, SurveyExpired):
                self.ends.setdefault(event.survey.survey_id, set()).add(event.reason)

    def day(self, moment: datetime) -> date:
        """The day on the calendar that hangs on the account's wall."""
        return moment.astimezone(self.zone).date()

    def state(self, survey_id: str) -> str:
        """What became of a survey."""
        ends = self.ends.get(survey_id, set())
        if survey_id in self.answers:
            return "submitted"
        for reason, state in (("reopened", "withdrawn"), ("undeliverable", "undeliverable"), ("skipped", "skipped")):
            if reason in ends:
                return state
        return "expired" if ends else "pending"

    def responses(self, asked: Asked) -> list[SurveySubmitted]:
        """The answers that a report is about."""
        return [
            answer
            for answer in self.answers.values()
            if asked.fits(answer.survey) and asked.has(self.day(answer.submitted_at))
        ]

    def states(self, asked: Asked, *, only: Callable[[Survey], bool] = lambda _: True) -> Counter[str]:
        """The surveys created in the range, by what became of them."""
        states = Counter(
            self.state(survey.survey_id)
            for survey in self.surveys.values()
            if asked.fits(survey) and only(survey) and asked.has(self.day(survey.created_at))
        )
        del states["skipped"]  # as if nobody had thought of it; the reason counts
        return states

    def skipped(self, asked: Asked) -> Counter[str]:
        """Why the range's other resolutions led to no survey."""
        return Counter(
            skip.reason for skip in self.skips if asked.fits(skip.ticket) and asked.has(self.day(skip.skipped_at))
        )


def share(part: int, n: int) -> Any:
    """A share with Wilson's interval: between the two p at which |share - p| is Z standard errors of p."""
    if n == 0:
        return {"n": 0, "value": None, "low": None, "high": None}
    observed = part / n
    # (observed - p)² = Z² p (1 - p) / n, a quadratic equation in p.
    a, b, c = 1 + Z**2 / n, -(2 * observed + Z**2 / n), observed**2
    root = math.sqrt(max(0.0, b**2 - 4 * a * c))
    ends = ((-b - root) / (2 * a), (-b + root) / (2 * a))
    return {"n": n, "value": near(observed), "low": near(ends[0]), "high": near(ends[1])}


def near(number: float) -> Any:
    return pytest.approx(number, abs=1e-9)


def satisfied(scores: Sequence[int]) -> Any:
    return share(sum(score >= 4 for score in scores), len(scores))


def rate(states: Counter[str]) -> Any:
    return share(states["submitted"], states["submitted"] + states["pending"] + states["expired"])


def assert_figures(figures: Any, scores: Sequence[int]) -> None:
    """Number, average and CSAT are those of the scores."""
    assert figures["responses"] == len(scores)
    assert figures["average"] == (near(fmean(scores)) if scores else None)
    assert figures["csat"] == satisfied(scores)


def scores_of(answers: Iterable[SurveySubmitted]) -> list[int]:
    return [answer.score for answer in answers]


async def assert_true(stage: Stage, account_id: str, oracle: Oracle, asked: Asked) -> None:
    """Everything that the API says of what is asked."""
    key = await a_key(stage, account_id)

    async def say(path: str, **more: Any) -> Any:
        return await told(stage, path, key=key, **asked.parameters, **more)

    answers = oracle.responses(asked)
    scores, states = scores_of(answers), oracle.states(asked)

    summary = await say("/summary")
    assert_figures(summary["satisfaction"], scores)
    assert Counter(summary["surveys"]) == Counter({name: states[name] for name in summary["surveys"]})
    assert summary["surveys"].keys() >= states.keys()
    assert {name: count for name, count in summary["skipped"].items() if count} == dict(oracle.skipped(asked))
    assert summary["response_rate"] == rate(states)
    before = replace(asked, start=asked.start - (asked.end - asked.start), end=asked.start)
    scores_before, states_before = scores_of(oracle.responses(before)), oracle.states(before)
    previous = summary["previous"]
    assert (previous["from"], previous["to"]) == (before.start.isoformat(), before.end.isoformat())
    assert previous["average"]["before"] == (near(fmean(scores_before)) if scores_before else None)
    assert previous["csat"]["before"] == satisfied(scores_before)["value"]
    assert previous["response_rate"]["before"] == rate(states_before)["value"]
    enough = min(len(scores), len(scores_before)) >= 5
    assert previous["csat"]["difference"] == (
        near(summary["satisfaction"]["csat"]["value"] - previous["csat"]["before"]) if enough else None
    )

    distribution = (await say("/distribution"))["scores"]
    assert [(each["score"], each["responses"]) for each in distribution] == [(n, scores.count(n)) for n in range(1, 6)]
    assert [each["share"] for each in distribution] == [share(scores.count(n), len(scores)) for n in range(1, 6)]

    await assert_agents(oracle, asked, answers, (await say("/agents"))["agents"])

    for granularity in ("day", "week", "month"):
        periods = (await say("/trend", granularity=granularity))["periods"]
        days = [asked.start + timedelta(days=number) for number in range((asked.end - asked.start).days)]
        name: Any = {"day": date.toordinal, "week": lambda day: day.isocalendar()[:2], "month": lambda day: day.month}
        cuts = [
            day for day in days if day == asked.start or name[granularity](day) != name[granularity](yesterday(day))
        ]
        assert [each["from"] for each in periods] == [cut.isoformat() for cut in cuts]
        for period, start, end in zip(periods, cuts, [*cuts[1:], asked.end], strict=True):
            assert period["to"] == end.isoformat()
            assert_figures(period["satisfaction"], scores_of(oracle.responses(replace(asked, start=start, end=end))))

    for path, part, values in (("priorities", "priority", PRIORITIES), ("channels", "channel", CHANNELS)):
        shown = {each[part]: each for each in (await say(f"/{path}"))[path]}
        for value in values:
            own = [answer.score for answer in answers if getattr(answer.survey, part) == value]
            made = oracle.states(asked, only=lambda survey, part=part, value=value: getattr(survey, part) == value)
            if value in shown:
                assert_figures(shown[value]["satisfaction"], own)
                assert shown[value]["response_rate"] == rate(made)
            else:
                assert not own
                assert not made

    reasons = Counter(answer.reason.code for answer in answers if answer.reason)
    assert {each["reason"]: each["share"] for each in (await say("/reasons"))["reasons"]} == {
        code: share(count, reasons.total()) for code, count in reasons.items()
    }

    listed = (await say("/responses", limit=100))["responses"]
    assert {each["survey_id"]: each["score"] for each in listed} == {
        answer.survey.survey_id: answer.score for answer in answers
    }
    moments = [datetime.fromisoformat(each["submitted_at"]) for each in listed]
    assert moments == sorted(moments, reverse=True)


async def assert_agents(oracle: Oracle, asked: Asked, answers: Sequence[SurveySubmitted], listed: Any) -> None:
    """Each agent with a response, by what their CSAT is at least."""
    by_agent: dict[str | None, list[int]] = {}
    for answer in answers:
        by_agent.setdefault(asked.agent_of(answer.survey), []).append(answer.score)
    assert {each["agent_id"] for each in listed} == by_agent.keys()
    for each in listed:
        assert_figures(each["satisfaction"], by_agent[each["agent_id"]])
    compared = [each for each in listed if each["agent_id"] and each["satisfaction"]["responses"] >= 5]
    merits = [(each["satisfaction"]["csat"]["low"], each["satisfaction"]["average"]) for each in compared]
    if asked.agent is not None:
        assert {each["rank"] for each in listed} <= {None}, "among one there is no order"
        return
    assert listed[: len(compared)] == compared
    assert merits == sorted(merits, reverse=True)
    assert [each["rank"] for each in compared] == [1 + sum(other > merit for other in merits) for merit in merits]
    assert {each["rank"] for each in listed[len(compared) :]} <= {None}


def yesterday(day: date) -> date:
    return day - timedelta(days=1)


async def hear(stage: Stage, events: Sequence[Event], dice: random.Random) -> None:
    """Hear of all of it in a disorder of the dice, some of it twice, in batches of one topic and of any size."""
    deliveries = [delivery_of(event) for event in events]
    heard = deliveries + dice.choices(deliveries, k=len(deliveries) // 4)  # the same records
    heard += [delivery_of(event) for event in dice.choices(events, k=len(events) // 8)]  # the same under another name
    dice.shuffle(heard)
    size = dice.choice((1, 7, len(heard)))
    for start in range(0, len(heard), size):
        await stage.hears(*sorted(heard[start : start + size], key=lambda delivery: delivery.topic))


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@settings(
    max_examples=6,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink one would take longer than tests may
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(
    zones=st.lists(st.sampled_from(ZONES), min_size=2, max_size=2),
    histories=st.tuples(resolutions("acme"), resolutions("bolt")),
    asked=st.lists(questions(), min_size=1, max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
async def test_every_figure_is_what_the_events_come_to(
    reports_stage: Stage,
    zones: list[str],
    histories: tuple[list[Event], list[Event]],
    asked: list[Asked],
    seed: int,
) -> None:
    """Whatever happened, in whatever order it is heard of, and heard of again in full: as it came, and as if new."""
    await reports_stage.clear()
    accounts = dict(zip(("acme", "bolt"), zip(zones, histories, strict=True), strict=True))
    everything: list[Event] = [
        *(an_account(account_id=account_id, time_zone=zone) for account_id, (zone, _) in accounts.items()),
        *(event for history in histories for event in history),
    ]
    all_of_it = Asked(
        BEGIN.date() - timedelta(days=5), BEGIN.date() + timedelta(days=DAYS + 10), None, "credited", (), ()
    )
    dice = random.Random(seed)
    for _ in range(2):
        await hear(reports_stage, everything, dice)
        async with reports_stage.service.sessions.begin() as session:
            await session.execute(delete(InboxMessage))

    assert await reports_stage.dead_letters() == []
    for account_id, (zone, history) in accounts.items():
        oracle = Oracle(history, zone)
        for question in (all_of_it, *asked):
            await assert_true(reports_stage, account_id, oracle, question)
            await reports_stage.forget_visits()
