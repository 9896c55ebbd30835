"""What reports keeps of surveys, as events arrive."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as happening
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from services.reports.rollup import COUNTS
from services.reports.tables import Account, CsatCell, CsatDaily, Rating, SkippedSurvey, Table
from shared.chassis.migrations import drift
from shared.contracts import ReasonGiven, SurveyExpired
from tests.builders import ADA, BEN, NOON, a_ticket, an_account
from tests.reports.told import a_survey, created, expired, skipped, submitted
from tests.stage import Stage, delivery_of

LATER = NOON + timedelta(hours=3)


def facts_of(row: Rating) -> dict:
    """All columns."""
    return {column.name: getattr(row, column.name) for column in Rating.__table__.columns}


async def test_a_created_survey_is_pending(reports: Stage) -> None:
    """Who was asked is counted before they answer."""
    await reports.hears(an_account(), created())

    rating = await reports.row(Rating)
    assert (rating.state, rating.score, rating.agent_id, rating.agent_name) == ("pending", None, "ada", "Ada Okafor")


async def test_a_batch_asks_for_its_account_once(reports: Stage) -> None:
    """Not once a record, which took as long as the record's effect."""
    await reports.hears(an_account())
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM accounts" in statement:
            asked.append(statement)

    happening.listen(reports.service.engine.sync_engine, "before_cursor_execute", note)
    try:
        await reports.hears(*(created(a_survey(f"s-{number}")) for number in range(5)))
    finally:
        happening.remove(reports.service.engine.sync_engine, "before_cursor_execute", note)

    assert await reports.count(Rating) == 5
    assert len(asked) == 1


async def test_an_answer_is_kept_with_all_it_says(reports: Stage) -> None:
    """The report can show score, words, time and ticket."""
    await reports.hears(an_account(), created(), submitted(score=4, comment="Quick.", submitted_at=LATER))

    rating = await reports.row(Rating)
    assert (rating.state, rating.score, rating.comment, rating.submitted_at) == ("submitted", 4, "Quick.", LATER)
    assert (rating.ticket_id, rating.subject, rating.requester_name) == ("T-s-1", "Tent pole broke", "Rita Gómez")
    assert (rating.priority, rating.channel) == ("normal", "email")


async def test_an_answer_alone_makes_the_row(reports: Stage) -> None:
    """Topics give no order: the answer may be the first that is heard of its survey."""
    await reports.hears(an_account(), submitted(score=2))

    assert (await reports.row(Rating)).state == "submitted"
    assert await reports.dead_letters() == []


@pytest.mark.parametrize(
    ("reason", "state"), [("unanswered", "expired"), ("reopened", "withdrawn"), ("undeliverable", "undeliverable")]
)
async def test_a_survey_that_ended_without_an_answer_says_how(reports: Stage, reason: str, state: str) -> None:
    """One that ran out counts against the response rate; one that was withdrawn or never arrived does not."""
    await reports.hears(an_account(), created(), expired(reason=reason))

    assert (await reports.row(Rating)).state == state


@pytest.mark.parametrize("reason", get_args(get_type_hints(SurveyExpired)["reason"]))
async def test_an_answer_wins_over_an_expiry_whichever_comes_first(reports: Stage, reason: str) -> None:
    """An answer that was taken is never lost to a deadline, a reopening or a bounce."""
    early, late = a_survey("early"), a_survey("late")
    await reports.hears(an_account(), submitted(early), expired(early, reason), expired(late, reason), submitted(late))

    assert {rating.state for rating in await reports.rows(Rating)} == {"submitted"}


async def test_a_reopening_outranks_a_bounce_in_either_order(reports: Stage) -> None:
    """A survey that did not arrive is withdrawn when its ticket is reopened, and counts as surveys has it."""
    for survey in (a_survey("a"), a_survey("b")):
        bounced = expired(survey, "undeliverable")
        reopened = expired(survey, "reopened", expired_at=LATER)
        await reports.hears(an_account(), *((bounced, reopened) if survey.survey_id == "a" else (reopened, bounced)))

    assert [rating.state for rating in await reports.rows(Rating)] == ["withdrawn"] * 2


async def test_of_two_answers_the_earlier_stays_in_either_order(reports: Stage) -> None:
    """The first answer counts, and the order of arrival decides nothing."""
    for survey in (a_survey("a"), a_survey("b")):
        first = submitted(survey, 1, submitted_at=NOON, comment="first")
        second = submitted(survey, 5, submitted_at=LATER, comment="second")
        await reports.hears(an_account(), *((first, second) if survey.survey_id == "a" else (second, first)))

    assert [(rating.score, rating.comment) for rating in await reports.rows(Rating)] == [(1, "first")] * 2


SOME_EVENTS = (
    created(),
    submitted(score=3, comment="So so.", submitted_at=LATER),
    submitted(score=5, submitted_at=LATER + timedelta(minutes=1)),
    expired(),
    expired(reason="reopened"),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_order_and_repetition_of_a_surveys_events_ends_in_the_same_row(
    reports_stage: Stage, data: st.DataObject
) -> None:
    """Kafka gives no order between topics and may deliver twice; what is reported depends on neither."""
    # Two expiries of one moment that disagree cannot both be true; a survey has one of them.
    withdrawn = data.draw(st.booleans())
    events = data.draw(st.sets(st.sampled_from(range(4)), min_size=1))
    chosen = [SOME_EVENTS[4] if place == 3 and withdrawn else SOME_EVENTS[place] for place in sorted(events)]
    shuffled = data.draw(st.permutations(chosen + data.draw(st.lists(st.sampled_from(chosen), max_size=4))))

    rows = []
    for order in (chosen, shuffled):
        await reports_stage.clear()
        await reports_stage.hears(an_account())
        for event in order:  # each with an id of its own: the row itself must be idempotent
            await reports_stage.hears(event)
        rows.append(facts_of(await reports_stage.row(Rating)))

    assert rows[0] == rows[1]


async def test_a_redelivered_event_has_no_second_effect(reports: Stage) -> None:
    """Kafka may deliver twice."""
    deliveries = [delivery_of(event) for event in (created(), submitted(), skipped())]
    await reports.hears(an_account(), *deliveries, *deliveries)

    assert await reports.count(Rating) == await reports.count(SkippedSurvey) == 1


@pytest.mark.parametrize("event", [created(), submitted(), expired(), skipped()], ids=lambda event: event.topic)
async def test_events_of_an_unknown_account_wait_until_it_is_told_of(reports: Stage, event) -> None:
    """Without the account nobody knows in which time zone its days are."""
    await reports.hears(event)
    assert await reports.dead_letters() == ["waits for acme"]

    await reports.hears(an_account())

    assert await reports.dead_letters() == []
    assert await reports.count(Rating) + await reports.count(SkippedSurvey) == 1


async def test_days_are_days_in_the_accounts_time_zone(reports: Stage) -> None:
    """Half past midnight in Tokyo is the next day there, while it is still afternoon in Greenwich."""
    afternoon = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)
    survey = a_survey(created_at=afternoon)
    await reports.hears(an_account(time_zone="Asia/Tokyo"), submitted(survey, submitted_at=afternoon))

    rating = await reports.row(Rating)
    assert rating.created_day == rating.submitted_day == date(2026, 3, 3)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        # Berlin goes from +1 to +2 on Sunday 2026-03-29 at 01:00 UTC.
        (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        # and back on 2026-10-25.
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), date(2026, 10, 26)),
    ],
)
async def test_days_begin_at_local_midnight_also_when_the_clocks_change(
    reports: Stage, moment: datetime, day: date
) -> None:
    """A day of 23 or 25 hours is still one day."""
    await reports.hears(an_account(time_zone="Europe/Berlin"), submitted(submitted_at=moment))

    assert (await reports.row(Rating)).submitted_day == day


async def test_a_later_change_of_time_zone_moves_no_day(reports: Stage) -> None:
    """Last month's report stays what it was."""
    await reports.hears(an_account(time_zone="Asia/Tokyo"), submitted(submitted_at=NOON + timedelta(hours=4)))
    before = (await reports.row(Rating)).submitted_day
    await reports.hears(an_account(version=2, time_zone="America/Los_Angeles"), created(), expired())

    rating = await reports.row(Rating)
    assert rating.submitted_day == before
    assert rating.created_day == date(2026, 3, 2)


async def test_a_skipped_survey_is_counted_with_its_reason_and_agent(reports: Stage) -> None:
    """Every survey that was not sent has a reason that can be reported."""
    nobodys = a_ticket(ticket_id="T-2", version=3, assignee=None)
    bens = a_ticket(ticket_id="T-3", version=3, assignee=None, last_replier=BEN)
    await reports.hears(an_account(), skipped(), skipped(), skipped("no_address", ticket=nobodys), skipped(ticket=bens))

    rows = await reports.rows(SkippedSurvey)
    assert {(row.ticket_id, row.reason, row.agent_id) for row in rows} == {
        ("T-1", "disabled", ADA.agent_id),
        ("T-2", "no_address", None),
        ("T-3", "disabled", BEN.agent_id),
    }


async def test_two_accounts_may_use_the_same_survey_id(reports: Stage) -> None:
    """No event of one account can touch another's row."""
    await reports.hears(an_account(), an_account(account_id="bolt"))
    await reports.hears(submitted(score=5), submitted(score=1, account_id="bolt"))

    assert {(row.account_id, row.score) for row in await reports.rows(Rating)} == {("acme", 5), ("bolt", 1)}


async def test_an_older_account_event_does_not_undo_a_newer_one(reports: Stage) -> None:
    """The highest version wins, whatever the order of arrival."""
    await reports.hears(an_account(version=2, name="New"), an_account(version=1, name="Old"))

    assert (await reports.row(Account)).name == "New"


async def test_reports_says_nothing(reports: Stage) -> None:
    """It is the end of the line."""
    await reports.hears(an_account(), created(), submitted(), expired(), skipped())

    assert await reports.said() == []


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"score": 6}, "score_in_range"),
        ({"score": 0}, "score_in_range"),
        ({"comment": "x" * 2001}, "comment_fits"),
        ({"comment": None}, "state_has_its_facts"),
        ({"submitted_day": None}, "state_has_its_facts"),
        ({"submitted_at": None}, "state_has_its_facts"),
        ({"score": None}, "state_has_its_facts"),
        ({"expired_at": NOON}, "state_has_its_facts"),
        ({"expired_at": NOON, "expired_reason": "bored"}, "expired_reason_is_known"),
        ({"agent_name": None}, "agent_has_a_name"),
    ],
)
async def test_the_database_refuses_a_row_that_cannot_be_true(reports: Stage, changes: dict, constraint: str) -> None:
    """Whatever the code does wrong one day, the figures rest on rows that make sense."""
    await reports.hears(an_account(), submitted())
    facts = facts_of(await reports.row(Rating)) | {"survey_id": "s-2"} | changes
    facts.pop("state")

    with pytest.raises(IntegrityError, match=constraint):
        async with reports.service.sessions.begin() as session:
            await session.execute(insert(Rating).values(facts))


async def test_migrations_and_tables_agree(reports: Stage) -> None:
    """A migrated database is the one the code expects."""
    assert await drift(reports.service.settings.database_url, Table.metadata) == []


async def test_a_survey_that_was_skipped_when_it_was_due_counts_once_as_skipped(reports: Stage) -> None:
    """It was made with its resolution, and nobody was asked: it leaves the response rate and is told by its reason."""
    survey = a_survey("s-1")
    ticket = a_ticket(ticket_id=survey.ticket_id, version=survey.resolved_version)
    told_of = [created(survey), expired(survey, "skipped"), skipped("asked_recently", ticket=ticket)]
    for events in (told_of, told_of[::-1]):
        await reports.clear()
        await reports.hears(an_account(), *events)

        assert (await reports.row(Rating)).state == "skipped"
        days = await reports.rows(CsatDaily)
        sums = {name: sum(getattr(day, name) for day in days) for name in COUNTS}
        assert {name: count for name, count in sums.items() if count} == {"skipped_asked_recently": 1}


async def test_whom_a_ticket_was_assigned_to_and_who_replied_last_are_kept_beside_the_credited_agent(
    reports: Stage,
) -> None:
    """By each rule of whose a ticket is, of answers and of surveys that were never sent; an older release told less."""
    older = a_survey("s-2", agent=ADA, assignee=None)
    ticket = a_ticket(ticket_id="K-1", version=3, assignee=None, last_replier=BEN, priority="urgent", channel="chat")
    await reports.hears(an_account(), submitted(a_survey("s-1", last_replier=BEN)), submitted(older))
    await reports.hears(skipped(ticket=ticket))

    rows = await reports.rows(Rating)
    assert {(row.survey_id, row.agent_name, row.assignee_id, row.last_replier_name) for row in rows} == {
        ("s-1", ADA.name, ADA.agent_id, BEN.name),
        ("s-2", ADA.name, None, None),
    }
    cells = await reports.rows(CsatCell)
    assert {(row.agent_id, row.assignee_id, row.last_replier_id, row.priority, row.channel) for row in cells} == {
        ("ada", "ada", "ben", "normal", "email"),
        ("ada", None, None, "normal", "email"),
        ("ben", None, "ben", "urgent", "chat"),
    }


async def test_ids_and_channels_of_any_length_are_counted_by(reports: Stage) -> None:
    """What an index holds has an end: ids have 128 characters at most, a channel's name is cut there."""
    dice = random.Random(1)  # nothing of it can be compressed

    def long(characters: int = 128) -> str:
        return "".join(chr(dice.randint(0x20000, 0x2A6D0)) for _ in range(characters))

    agents = [replace(ADA, agent_id=long()) for _ in range(3)]
    account_id, channel = long(), long(5000)
    survey = a_survey("s-1", agent=agents[0], assignee=agents[1], last_replier=agents[2], channel=channel)
    await reports.hears(an_account(account_id=account_id), submitted(survey, account_id=account_id))

    assert await reports.dead_letters() == []
    assert (await reports.row(CsatCell)).channel == (await reports.row(Rating)).channel == channel[:128]


async def test_the_reason_of_a_low_score_is_kept_by_its_code(reports: Stage) -> None:
    """What accounts call it may change."""
    given = ReasonGiven(code="slow", text="It took too long")
    await reports.hears(an_account(), submitted(a_survey("s-1"), 1, reason=given), submitted(a_survey("s-2"), 5))

    assert {row.survey_id: row.reason for row in await reports.rows(Rating)} == {"s-1": "slow", "s-2": None}
