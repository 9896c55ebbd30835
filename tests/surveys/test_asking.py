"""Surveys that wait for their time: what becomes of them then."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.surveys.asking import Asking
from services.surveys.deadlines import expire_some
from services.surveys.policy import GRACE
from services.surveys.survey import Survey
from services.surveys.tables import AnsweredTicket, OptOut, SkippedSurvey
from shared.contracts import (
    Event,
    RequesterErased,
    SurveyCreated,
    SurveyExpired,
    SurveyInvited,
    SurveyPolicy,
    SurveyReminded,
    SurveySkipped,
)
from tests.builders import (
    NOON,
    RITA,
    a_notification_failed,
    a_reply_sent,
    a_ticket,
    a_ticket_reopened,
    a_ticket_resolved,
    an_account,
)
from tests.stage import Stage
from tests.surveys.test_pages import rate

DELAYED = SurveyPolicy(delay_hours=24)
REMINDING = SurveyPolicy(reminder_after_days=3)


async def asks(surveys: Stage) -> list[type[Event]]:
    """Let the job decide about all that is due, and tell what was said since the last time."""
    asking = Asking(surveys.service.provided["links"])
    found = True
    while found:
        async with surveys.service.sessions.begin() as session:
            found = await asking.ask_next(session, surveys.clock())
    return [type(event) for event in await surveys.said()]


def resolved(ticket_id: str = "T-1", version: int = 3, **changes: Any):
    """A resolution of Rita's ticket."""
    return a_ticket_resolved(
        **{"ticket": a_ticket(ticket_id=ticket_id, version=version, status="resolved"), "resolved_at": NOON, **changes}
    )


async def opts_out(surveys: Stage, ticket_id: str = "T-1") -> None:
    """As the requester does with the link of an email."""
    survey = await surveys.row(Survey, ticket_id=ticket_id)
    link = surveys.service.provided["links"].to_opt_out(survey.survey_id)
    assert (await surveys.client.post(link.removeprefix("https://surveys.example"))).status_code == 200


async def test_a_delayed_survey_exists_at_once_and_is_asked_when_it_is_due(surveys: Stage) -> None:
    """The record is made with the resolution; the email goes out a day later, and its time to answer begins then."""
    await surveys.hears(an_account(survey_policy=DELAYED), resolved())
    assert await asks(surveys) == [SurveyCreated]

    surveys.later(hours=23, minutes=59)
    assert await asks(surveys) == []
    surveys.later(minutes=1)
    assert await asks(surveys) == [SurveyInvited]
    assert await asks(surveys) == []

    survey = await surveys.row(Survey)
    assert (survey.invited_at, survey.due_at, survey.ticket) == (surveys.clock(), None, None)
    assert (survey.expires_at - surveys.clock()).days == 14


async def test_an_address_is_kept_no_longer_than_there_is_something_to_send(surveys: Stage) -> None:
    """Surveys knows where to write while an email is to come, and forgets it then."""
    await surveys.hears(an_account(), resolved())
    assert (await surveys.row(Survey)).ticket is None

    await surveys.hears(an_account(version=2, survey_policy=REMINDING), resolved("T-2"))
    waiting = await surveys.row(Survey, ticket_id="T-2")
    assert waiting.ticket is not None
    assert waiting.ticket.requester == RITA
    await surveys.hears(a_ticket_reopened(ticket=a_ticket(ticket_id="T-2", version=3)))

    assert (await surveys.row(Survey, ticket_id="T-2")).ticket is None


async def test_a_reopening_withdraws_what_waits_to_be_asked(surveys: Stage) -> None:
    """Nobody is asked about a ticket that is open again."""
    await surveys.hears(an_account(survey_policy=DELAYED), resolved(), a_ticket_reopened())
    surveys.later(hours=24)

    assert await asks(surveys) == [SurveyCreated, SurveyExpired]
    assert (await surveys.row(Survey)).expired_reason == "reopened"


async def skipped(surveys: Stage, reason: str) -> None:
    """Whether the survey that was due was not sent, for this reason, which is said and kept."""
    expired, told = await surveys.said()
    assert isinstance(expired, SurveyExpired)
    assert isinstance(told, SurveySkipped)
    survey, row = await surveys.row(Survey, state="expired"), await surveys.row(SkippedSurvey)
    assert (expired.reason, told.reason, row.reason, survey.expired_reason) == ("skipped", reason, reason, "skipped")
    assert (row.requester_id, row.resolved_at, row.skipped_at) == ("rita", NOON, surveys.clock())
    assert told.ticket.requester == RITA
    assert survey.ticket is None


async def job(surveys: Stage) -> None:
    """Let the job decide about what is due longest."""
    async with surveys.service.sessions.begin() as session:
        assert await Asking(surveys.service.provided["links"]).ask_next(session, surveys.clock())


async def test_an_account_that_asks_nobody_any_more_skips_what_waits(surveys: Stage) -> None:
    """What the account decides counts until the email leaves."""
    await surveys.hears(an_account(survey_policy=DELAYED), resolved())
    await surveys.hears(an_account(version=2, survey_policy=replace(DELAYED, enabled=False)))
    await surveys.said()
    surveys.later(hours=24)

    await job(surveys)

    await skipped(surveys, "disabled")


async def test_who_opted_out_meanwhile_is_not_asked(surveys: Stage) -> None:
    """A promise not to ask holds for what waits already."""
    await surveys.hears(an_account(survey_policy=DELAYED), resolved())
    await opts_out(surveys)
    await surveys.said()
    surveys.later(hours=24)

    await job(surveys)

    await skipped(surveys, "opted_out")


async def test_a_ticket_that_no_agent_answered_is_not_asked_about_if_the_account_says_so(surveys: Stage) -> None:
    """An internal note is no answer, and not even that there is one is kept."""
    await surveys.hears(an_account(survey_policy=SurveyPolicy(only_after_reply=True)), resolved())
    await surveys.hears(a_reply_sent(visibility="internal"), a_reply_sent(account_id="other"))
    await surveys.said()
    surveys.later(minutes=5)

    await job(surveys)

    await skipped(surveys, "no_reply")
    assert {row.account_id for row in await surveys.rows(AnsweredTicket)} == {"other"}


@pytest.mark.parametrize("late", [False, True])
async def test_a_public_reply_counts_though_it_is_heard_after_the_resolution(surveys: Stage, late: bool) -> None:
    """Topics give no order between each other, so the decision waits a moment."""
    events = [resolved(), a_reply_sent()]
    await surveys.hears(an_account(survey_policy=SurveyPolicy(only_after_reply=True)))
    await surveys.hears(*(events if late else reversed(events)))

    assert await asks(surveys) == [SurveyCreated]
    surveys.clock.now += GRACE
    assert await asks(surveys) == [SurveyInvited]


async def test_of_a_reply_only_that_there_is_one_is_kept(surveys: Stage) -> None:
    """What agents write is none of the surveys' business."""
    await surveys.hears(a_reply_sent(body="SECRET"), a_reply_sent(body="SECRET", reply_id="a-2"))

    (row,) = await surveys.rows(AnsweredTicket)
    assert {column.name for column in AnsweredTicket.__table__.columns} == {"account_id", "ticket_id"}
    assert (row.account_id, row.ticket_id) == ("acme", "T-1")


async def test_a_requester_is_asked_once_within_the_days_that_the_account_chose(surveys: Stage) -> None:
    """About whichever of their tickets comes first; about the next when the time is over."""
    await surveys.hears(an_account(survey_policy=SurveyPolicy(days_between=30)), resolved("T-1"), resolved("T-2"))
    surveys.later(minutes=5)

    assert sorted(event.__name__ for event in await asks(surveys)) == [
        "SurveyCreated",
        "SurveyCreated",
        "SurveyExpired",
        "SurveyInvited",
        "SurveySkipped",
    ]
    assert (await surveys.row(SkippedSurvey)).reason == "asked_recently"
    assert (await surveys.row(Survey, ticket_id="T-1")).invited_at == surveys.clock()

    await surveys.hears(resolved("T-3", resolved_at=surveys.later(days=30)))
    surveys.later(minutes=5)
    assert await asks(surveys) == [SurveyCreated, SurveyInvited]


async def test_the_first_of_two_tickets_is_the_same_whichever_is_heard_first(surveys: Stage) -> None:
    """The order of arrival decides nothing."""
    for order in (("T-1", "T-2"), ("T-2", "T-1")):
        await surveys.clear()
        await surveys.hears(an_account(survey_policy=SurveyPolicy(days_between=30)), *map(resolved, order))
        surveys.later(minutes=5)
        await asks(surveys)

        assert (await surveys.row(SkippedSurvey)).ticket_id == "T-2"


async def test_others_and_other_accounts_are_asked_all_the_same(surveys: Stage) -> None:
    """The days are counted for one requester of one account; who was never reached was not asked."""
    policy = SurveyPolicy(days_between=30)
    await surveys.hears(
        an_account(survey_policy=policy),
        an_account(account_id="other", survey_policy=policy),
        resolved(),
        resolved(account_id="other"),
        resolved(ticket=a_ticket(ticket_id="T-2", version=3, requester=replace(RITA, requester_id="jonas"))),
    )
    surveys.later(minutes=5)
    assert (await asks(surveys)).count(SurveyInvited) == 3

    survey = await surveys.row(Survey, account_id="acme", requester_id="rita")
    await surveys.hears(a_notification_failed(subject_id=str(survey.survey_id)), resolved("T-3"))
    surveys.later(minutes=5)
    assert SurveyInvited in await asks(surveys)


async def test_replicas_ask_a_requester_once(surveys: Stage) -> None:
    """Two surveys of one requester are due at the same moment, and two replicas each take one in hand."""
    policy = SurveyPolicy(days_between=30)
    await surveys.hears(an_account(survey_policy=policy), *(resolved(f"T-{n}") for n in range(8)))
    await surveys.said()
    surveys.later(minutes=5)

    await asyncio.gather(*(job(surveys) for _ in range(8)))

    said = [type(event) for event in await surveys.said()]
    assert (said.count(SurveyInvited), said.count(SurveySkipped)) == (1, 7)


async def test_who_has_not_answered_is_asked_once_more_and_never_again(surveys: Stage) -> None:
    """With the same links and the same time to answer."""
    await surveys.hears(an_account(survey_policy=REMINDING), resolved())
    _, invited = await surveys.said()
    surveys.later(days=2, hours=23)
    assert await asks(surveys) == []
    surveys.later(hours=1)

    await job(surveys)

    (reminded,) = await surveys.said()
    assert isinstance(invited, SurveyInvited)
    assert isinstance(reminded, SurveyReminded)
    assert reminded.ticket == invited.ticket
    assert (reminded.link, reminded.opt_out_link) == (invited.link, invited.opt_out_link)
    assert reminded.expires_at == invited.expires_at
    surveys.later(days=9)
    assert await asks(surveys) == []


async def test_who_answered_is_not_reminded(surveys: Stage) -> None:
    """Nor asked for anything else."""
    await surveys.hears(an_account(survey_policy=REMINDING), resolved())
    path = (await surveys.said())[-1].link.removeprefix("https://surveys.example")
    await rate(surveys, path, score="5")
    await surveys.said()
    surveys.later(days=3)

    assert await asks(surveys) == []


async def test_nobody_is_reminded_who_opted_out_was_not_reached_or_is_helped_again(surveys: Stage) -> None:
    """An opt-out, an email that came back, a reopening and an account that changed its mind each end it."""
    for number, happens in enumerate(("opts out", "bounces", "reopens", "no reminders", "ends")):
        await surveys.clear()
        await surveys.hears(an_account(survey_policy=REMINDING), resolved())
        survey = await surveys.row(Survey)
        if happens == "opts out":
            await opts_out(surveys)
        elif happens == "bounces":
            await surveys.hears(a_notification_failed(subject_id=str(survey.survey_id)))
        elif happens == "reopens":
            await surveys.hears(a_ticket_reopened())
        elif happens == "no reminders":
            await surveys.hears(an_account(version=2))
        surveys.later(days=14 if happens == "ends" else 3)

        assert SurveyReminded not in await asks(surveys), (number, happens)
        survey = await surveys.row(Survey)
        assert (survey.due_at, survey.ticket) == (None, None)
        assert survey.state == ("expired" if happens in {"bounces", "reopens"} else "pending")


async def test_a_survey_that_nobody_could_be_asked_in_time_is_skipped_and_not_unanswered(surveys: Stage) -> None:
    """A service that was down for weeks does not count the silence of people it never asked."""
    await surveys.hears(an_account(survey_policy=DELAYED), resolved())
    await surveys.said()
    surveys.later(days=20)
    async with surveys.service.sessions.begin() as session:
        assert await expire_some(session, surveys.clock()) == 0

    await job(surveys)

    await skipped(surveys, "too_old")


async def test_a_survey_that_cannot_be_asked_holds_up_no_other(surveys: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of one survey's own is logged; it is tried again an hour later, the others are asked now."""
    await surveys.hears(an_account(survey_policy=DELAYED), resolved("T-1"), resolved("T-2"))
    await surveys.said()
    surveys.later(hours=24)
    faulty = await surveys.row(Survey, ticket_id="T-1")
    links = surveys.service.provided["links"]
    to_answer = links.to_answer
    monkeypatch.setattr(links, "to_answer", lambda id_: 1 / 0 if id_ == faulty.survey_id else to_answer(id_))

    assert await asks(surveys) == [SurveyInvited]
    monkeypatch.undo()
    assert await asks(surveys) == []
    surveys.later(hours=1)
    assert await asks(surveys) == [SurveyInvited]
    assert all(survey.invited_at for survey in await surveys.rows(Survey))


async def test_who_is_erased_while_they_wait_is_neither_asked_nor_reminded(surveys: Stage) -> None:
    """Nothing to write to is left, both links open nothing, and the wish not to be asked goes with the person."""
    erased = RequesterErased(account_id="acme", requester_id="rita", request_id="e-1", erased_at=NOON)
    for policy in (DELAYED, REMINDING):
        await surveys.clear()
        await surveys.hears(an_account(survey_policy=policy), resolved())
        before = await surveys.row(Survey)
        links = surveys.service.provided["links"]
        paths = [links.to_answer(before.survey_id), links.to_opt_out(before.survey_id)]
        await opts_out(surveys)

        await surveys.hears(erased)
        await surveys.said()
        surveys.later(days=4)

        assert await asks(surveys) == []
        survey = await surveys.row(Survey)
        assert (survey.due_at, survey.ticket, survey.opt_out_digest) == (None, None, None)
        assert await surveys.count(OptOut) == 0
        for path in paths:
            assert (await surveys.client.get(path.removeprefix("https://surveys.example"))).status_code == 404
        surveys.later(days=30)
        async with surveys.service.sessions.begin() as session:
            assert await expire_some(session, surveys.clock()) == 1


async def test_who_opted_out_is_not_asked_about_the_next_ticket(surveys: Stage) -> None:
    """Known at once, so no record is made."""
    await surveys.hears(an_account(), resolved())
    await opts_out(surveys)
    await surveys.said()

    await surveys.hears(resolved("T-2"))

    (told,) = await surveys.said()
    assert isinstance(told, SurveySkipped)
    assert told.reason == "opted_out"


async def test_resolutions_outside_the_sample_are_skipped_with_that_reason(surveys: Stage) -> None:
    """And again when the log is read once more."""
    await surveys.hears(an_account(survey_policy=SurveyPolicy(sample_percent=50)))
    await surveys.hears(*(resolved(f"T-{n}") for n in range(40)))
    first = {row.ticket_id for row in await surveys.rows(SkippedSurvey)}
    assert {row.reason for row in await surveys.rows(SkippedSurvey)} == {"not_sampled"}

    await surveys.clear()
    await surveys.hears(an_account(survey_policy=SurveyPolicy(sample_percent=50)))
    await surveys.hears(*(resolved(f"T-{n}") for n in reversed(range(40))))

    assert {row.ticket_id for row in await surveys.rows(SkippedSurvey)} == first
    assert 8 < len(first) < 32
