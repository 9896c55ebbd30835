"""The daily rollup against a plain model of it, in every order that events can come in."""

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, get_args
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, insert, text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.postgres.embedded import PostgresServer
from services.reports import rollup, verification
from services.reports.__main__ import program
from services.reports.handlers import COUNT_SURVEYS
from services.reports.rollup import COUNTS
from services.reports.tables import CsatCell, CsatDaily, CsatKind, Rating, SkippedSurvey
from shared.chassis.database import async_driver
from shared.chassis.inbox import InboxMessage
from shared.chassis.migrations import migrate
from shared.contracts import Agent, Event, SurveyCreated, SurveyExpired, SurveySkipped, SurveySubmitted
from shared.contracts.survey import SkipReason
from tests.builders import ADA, BEN, NOON, a_ticket, an_account
from tests.reports.told import a_survey, created, expired, skipped, submitted
from tests.stage import Delivery, Stage, delivery_of

MIGRATIONS = program.versions
ACCOUNTS = ("acme", "bolt", "cask")
ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles")
AGENTS = (ADA, BEN, None)
PRIORITIES = ("normal", "urgent")
EVENING = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)
"""So that a few hours more or less, or another zone, are another day."""

About = tuple[str | None, ...]
"""Ids of assignee, last replier and credited agent, priority and channel."""
Bucket = tuple[str, date, About]
ABOUT = ("assignee_id", "last_replier_id", "agent_id", "priority", "channel")


@dataclass
class Survey:
    """What is known of one."""

    about: About
    created_day: date
    answer: tuple[datetime, int, date] | None = None
    expiry: tuple[bool, datetime, str] | None = None
    """Whether it is another end than a reopening, which outranks all, then its time and the reason."""

    @property
    def state(self) -> str:
        if self.answer:
            return "submitted"
        if self.expiry:
            return {"unanswered": "expired", "reopened": "withdrawn"}.get(self.expiry[2], self.expiry[2])
        return "pending"


@dataclass
class Model:
    """What reports should know, in plain Python."""

    zones: dict[str, ZoneInfo] = field(default_factory=dict)
    surveys: dict[tuple[str, str], Survey] = field(default_factory=dict)
    skips: dict[tuple[str, str], tuple[Bucket, str]] = field(default_factory=dict)
    waiting: dict[str, list[Event]] = field(default_factory=dict)

    def tell_of(self, account_id: str, zone: str) -> None:
        self.zones[account_id] = ZoneInfo(zone)
        self.hear(self.waiting.pop(account_id, []))

    def hear(self, events: Sequence[Any]) -> None:
        for event in events:
            zone = self.zones.get(event.account_id)
            if zone is None:
                self.waiting.setdefault(event.account_id, []).append(event)
            elif isinstance(event, SurveySkipped):
                bucket = (event.account_id, event.skipped_at.astimezone(zone).date(), about(event.ticket))
                self.skips.setdefault((event.account_id, event.ticket.ticket_id), (bucket, event.reason))
            else:
                self._hear_of_survey(event, zone)

    def _hear_of_survey(self, event: SurveyCreated | SurveySubmitted | SurveyExpired, zone: ZoneInfo) -> None:
        told = event.survey
        survey = self.surveys.setdefault(
            (event.account_id, told.survey_id),
            Survey(about(told), told.created_at.astimezone(zone).date()),
        )
        if isinstance(event, SurveySubmitted) and (not survey.answer or event.submitted_at < survey.answer[0]):
            survey.answer = (event.submitted_at, event.score, event.submitted_at.astimezone(zone).date())
        if isinstance(event, SurveyExpired):
            expiry = (event.reason != "reopened", event.expired_at, event.reason)
            survey.expiry = min(survey.expiry or expiry, expiry)

    def counts(self) -> Counter[tuple[Bucket, str]]:
        """Count everything, by day, by what it is about and by what it counts as."""
        counts: Counter[tuple[Bucket, str]] = Counter()
        for (account_id, _), survey in self.surveys.items():
            if survey.state != "skipped":  # that its resolution led to no survey counts instead
                counts[(account_id, survey.created_day, survey.about), survey.state] += 1
            if survey.answer:
                _, score, day = survey.answer
                counts[(account_id, day, survey.about), f"score_{score}"] += 1
        for bucket, reason in self.skips.values():
            counts[bucket, f"skipped_{reason}"] += 1
        return counts


def about(what: Any) -> About:
    """What a survey or a ticket is counted by."""
    credited = what.assignee or what.last_replier
    agents = (what.assignee, what.last_replier, credited)
    return (*(agent.agent_id if agent else None for agent in agents), what.priority, what.channel)


@st.composite
def some_events(draw: st.DrawFn) -> Event:
    """Draw an event of one of a few surveys. Of one moment there is one answer and one expiry."""
    account_id, number, hours = draw(st.sampled_from(ACCOUNTS)), draw(st.integers(0, 5)), draw(st.integers(0, 4))
    moment = EVENING + timedelta(hours=hours)
    assignee, last_replier = AGENTS[number % 3], AGENTS[number % 2]
    whose: dict[str, Any] = {"assignee": assignee, "last_replier": last_replier, "priority": PRIORITIES[number % 2]}
    at = EVENING + timedelta(hours=number)
    survey = a_survey(f"s-{number}", agent=assignee or last_replier, created_at=at, **whose)
    kind = draw(st.sampled_from(["created", "submitted", "submitted", "expired", "skipped"]))
    if kind == "created":
        return created(survey, account_id=account_id)
    if kind == "submitted":
        return submitted(survey, 1 + (number + hours) % 5, account_id=account_id, submitted_at=moment)
    if kind == "expired":
        reason = ("unanswered", "reopened", "undeliverable", "skipped")[hours % 4]
        return expired(survey, reason, account_id=account_id, expired_at=moment)
    ticket = a_ticket(ticket_id=f"K-{number}", version=3, **whose)
    reason = get_args(SkipReason)[number % 7]
    return skipped(reason, account_id=account_id, ticket=ticket, skipped_at=EVENING + timedelta(hours=number))


class Events(RuleBasedStateMachine):
    """Events of three accounts, one of which nobody has told of yet, in any order, number and company.

    Hypothesis calls rules from a thread of its own, so that the stage's loop is free to run what they ask for.
    """

    stage: ClassVar[Stage]
    loop: ClassVar[asyncio.AbstractEventLoop]

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.heard: list[Delivery] = []
        self.versions: Counter[str] = Counter()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    @initialize()
    def begin(self) -> None:
        self.do(self.stage.clear())
        self.tell_of("acme", "UTC")
        self.tell_of("bolt", "Pacific/Auckland")

    @rule(account_id=st.sampled_from(ACCOUNTS), zone=st.sampled_from(ZONES))
    def tell_of(self, account_id: str, zone: str) -> None:
        """An account is told of, or moves to another time zone: what is counted stays on its days."""
        self.versions[account_id] += 1
        self.do(self.stage.hears(an_account(account_id=account_id, version=self.versions[account_id], time_zone=zone)))
        self.model.tell_of(account_id, zone)

    @rule(events=st.lists(some_events(), min_size=1, max_size=8))
    def hear(self, events: list[Event]) -> None:
        """Events come one after the other, those of one topic in a row as a batch; a repeat has an id of its own."""
        deliveries = [delivery_of(event) for event in events]
        self.do(self.stage.hears(*deliveries))
        self.heard += deliveries
        self.model.hear(events)

    @rule(events=st.lists(some_events(), min_size=4, max_size=16))
    def hear_at_once(self, events: list[Event]) -> None:
        """Each topic's events come as one batch, and all batches at the same time."""
        deliveries = [delivery_of(event) for event in events]
        batches: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            batches.setdefault(delivery.topic, []).append(delivery)
        self.do(self.take_at_once(batches))
        self.heard += deliveries
        self.model.hear(events)

    async def take_at_once(self, batches: dict[str, list[Delivery]]) -> None:
        consumers = self.stage.service.consumers.by_topic
        async with asyncio.TaskGroup() as group:
            for topic, batch in batches.items():
                group.create_task(consumers[topic].take(batch))

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """Kafka delivers again what was heard long ago."""
        again = data.draw(st.lists(st.sampled_from(range(len(self.heard))), min_size=1, max_size=8))
        self.do(self.stage.hears(*(self.heard[place] for place in again)))

    @rule()
    def forget_what_was_heard(self) -> None:
        """Inbox rows are kept for 30 days; after them the rows themselves must make a repeat harmless."""
        self.do(self.empty_the_inbox())

    async def empty_the_inbox(self) -> None:
        async with self.stage.service.sessions.begin() as session:
            await session.execute(delete(InboxMessage))

    @invariant()
    def the_rollups_are_the_model(self) -> None:
        """Every count of every day, by all that is counted by, by agent alone and by kind alone, and no other."""
        cells = {
            ((row.account_id, row.day, (*(getattr(row, name) for name in ABOUT),)), name): getattr(row, name)
            for row in self.do(self.stage.rows(CsatCell))
            for name in COUNTS
            if getattr(row, name)
        }
        counts = self.model.counts()
        assert cells == dict(counts)
        daily: Counter[tuple[str, date, str | None, str]] = Counter()
        kinds: Counter[tuple[str, date, str | None, str | None, str]] = Counter()
        for ((account_id, day, about), name), count in counts.items():
            daily[account_id, day, about[2], name] += count
            kinds[account_id, day, about[3], about[4], name] += count
        assert dict(daily) == {
            (row.account_id, row.day, row.agent_id, name): getattr(row, name)
            for row in self.do(self.stage.rows(CsatDaily))
            for name in COUNTS
            if getattr(row, name)
        }
        assert dict(kinds) == {
            (row.account_id, row.day, row.priority, row.channel, name): getattr(row, name)
            for row in self.do(self.stage.rows(CsatKind))
            for name in COUNTS
            if getattr(row, name)
        }
        states = {(row.account_id, row.survey_id): row.state for row in self.do(self.stage.rows(Rating))}
        assert states == {name: survey.state for name, survey in self.model.surveys.items()}

    @invariant()
    def the_rollup_is_what_the_ratings_come_to(self) -> None:
        """As PostgreSQL counts them anew."""
        assert self.do(disagreements(self.stage)) == []


async def disagreements(stage: Stage) -> list[verification.Difference]:
    """Compare every account's rollup with its ratings."""
    async with verification.snapshot(stage.service.engine) as connection:
        return [
            difference
            for account_id in await verification.accounts(connection)
            for difference in await verification.differences(connection, account_id)
        ]


@pytest.mark.timeout(300)
async def test_the_rollup_equals_the_ratings_whatever_comes_in_whatever_order(reports: Stage) -> None:
    """Repeats, delays, batches at the same time, accounts that come late or move: no count is ever off by one."""
    Events.stage, Events.loop = reports, asyncio.get_running_loop()

    await asyncio.to_thread(
        run_state_machine_as_test,
        Events,
        settings=settings(
            max_examples=15,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def a_row(survey_id: str, agent: Agent) -> dict[str, Any]:
    """What `survey.created` makes of a survey."""
    return {
        "account_id": "acme",
        "survey_id": survey_id,
        "ticket_id": survey_id,
        "subject": "",
        "requester_name": "",
        "requester_id": None,
        "agent_id": agent.agent_id,
        "agent_name": agent.name,
        "assignee_id": agent.agent_id,
        "assignee_name": agent.name,
        "last_replier_id": None,
        "last_replier_name": None,
        "priority": "normal",
        "channel": "email",
        "created_at": NOON,
        "created_day": NOON.date(),
    }


def only(row: dict[str, Any]) -> dict[str, list[Any]]:
    """Write one row as `change` takes it, by column."""
    return {column: [value] for column, value in row.items()}


async def test_two_consumers_that_count_for_the_same_agents_take_turns(reports: Stage) -> None:
    """Each counting for the agent the other one counted for before would be a deadlock, and a lost batch to repeat."""
    sessions = reports.service.sessions

    async def count_ben_then_ada() -> None:
        async with sessions.begin() as session:
            await rollup.change(session, COUNT_SURVEYS, only(a_row("s-3", BEN)))
            await rollup.change(session, COUNT_SURVEYS, only(a_row("s-4", ADA)))

    async with sessions.begin() as session:
        await rollup.change(session, COUNT_SURVEYS, only(a_row("s-1", ADA)))
        other = asyncio.create_task(count_ben_then_ada())
        await somebody_waits(reports)
        await rollup.change(session, COUNT_SURVEYS, only(a_row("s-2", BEN)))
    await other

    assert {(row.agent_id, row.pending) for row in await reports.rows(CsatDaily)} == {("ada", 2), ("ben", 2)}


async def test_a_savepoint_that_is_rolled_back_does_not_end_the_turn(reports: Stage) -> None:
    """A record that fails beside others takes its lock with it; who goes on in the transaction takes it again."""
    async with reports.service.sessions.begin() as session:
        savepoint = await session.begin_nested()
        await rollup.change(session, COUNT_SURVEYS, only(a_row("s-1", ADA)))
        await savepoint.rollback()
        await rollup.change(session, COUNT_SURVEYS, only(a_row("s-2", ADA)))
        held = await session.scalar(
            text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()")
        )

    assert held == 1
    assert (await reports.row(CsatDaily)).pending == 1


async def somebody_waits(stage: Stage) -> None:
    """Until a transaction of this database waits for another."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )
    async with stage.service.sessions() as session, asyncio.timeout(20):
        while not await session.scalar(waiting):
            await asyncio.sleep(0.01)


async def test_ratings_from_before_there_was_a_rollup_are_counted_by_its_migration(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    """Who upgrades sees the figures they saw before."""
    url = postgres_server.create_database(f"upgraded_{uuid4().hex[:8]}")
    shutil.copy(MIGRATIONS / "reports_0001_first_tables.py", tmp_path)
    await migrate(url, tmp_path)
    answer = {"comment": "", "submitted_at": NOON, "submitted_day": NOON.date() + timedelta(days=1)}
    nobody = {"agent_id": None, "agent_name": None}
    rows = [
        a_row("s-1", ADA) | answer | {"score": 5},
        a_row("s-2", ADA) | answer | {"score": 4, "expired_reason": "unanswered", "expired_at": NOON},
        a_row("s-3", ADA) | {"expired_reason": "reopened", "expired_at": NOON},
        a_row("s-4", ADA) | nobody,
        a_row("s-5", ADA) | nobody | answer | {"score": 1},
    ]
    skip = {"agent_id": "ada", "reason": "too_old", "skipped_at": NOON, "skipped_day": NOON.date()}
    engine = create_async_engine(async_driver(url))
    async with engine.begin() as connection:
        for row in rows:
            later = ("requester_id", "assignee_id", "assignee_name", "last_replier_id", "last_replier_name")
            row = {name: value for name, value in row.items() if name not in later}  # noqa: PLW2901 - nor were there
            await connection.execute(insert(Rating).values(row))
        await connection.execute(
            insert(SkippedSurvey).values(skip | {"account_id": "acme", "ticket_id": "T-1", "resolved_version": 1})
        )

    await migrate(url, MIGRATIONS)

    async with verification.snapshot(engine) as connection:
        assert await verification.differences(connection, "acme") == []
        assert await verification.days(connection, "acme") == 2
    await engine.dispose()


def test_nobody_changes_what_is_counted_past_the_rollup() -> None:
    """A change that is not counted would make every report wrong until somebody verifies."""
    changes = re.compile(
        r"\b(insert|update|delete)\((Rating|SkippedSurvey|CsatDaily|CsatKind|CsatCell)\b"
        r"|(INSERT INTO|UPDATE|DELETE FROM) (ratings|skipped_surveys|csat_(daily|kinds|cells)|\{(name|rollup)\})"
    )
    found = {path.name for path in MIGRATIONS.parent.glob("*.py") if changes.search(path.read_text())}

    # The last two empty words, of which nothing is counted.
    assert found == {"rollup.py", "verification.py", "erasure.py", "retention.py"}
