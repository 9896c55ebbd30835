"""Who is asked, and what becomes of it, as events arrive."""

import pytest

from services.surveys.survey import Survey
from services.surveys.tables import SkippedSurvey
from shared.contracts import SurveyCreated, SurveyExpired, SurveyInvited, SurveyPolicy, SurveySkipped
from tests.builders import (
    ADA,
    BEN,
    RITA,
    a_notification_failed,
    a_ticket,
    a_ticket_reopened,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.stage import Stage, delivery_of


async def test_a_resolution_makes_a_pending_survey_and_invites_the_requester(surveys: Stage) -> None:
    """The requester of a resolved ticket is asked, with a link and for 14 days."""
    await surveys.hears(an_account(), a_ticket_resolved())

    survey = await surveys.row(Survey)
    created, invited = await surveys.said()
    assert survey.state == "pending"
    assert (survey.expires_at - survey.created_at).days == 14
    assert isinstance(created, SurveyCreated)
    assert isinstance(invited, SurveyInvited)
    assert invited.link.startswith("https://surveys.example/s/")


async def test_only_the_digest_of_a_link_is_stored(surveys: Stage) -> None:
    """Who reads the database cannot open a survey."""
    await surveys.hears(an_account(), a_ticket_resolved())

    _, invited = await surveys.said()
    survey = await surveys.row(Survey)
    token = invited.link.rpartition("/")[2]
    assert len(token) == 43
    assert token not in repr(vars(survey))


async def test_a_redelivered_resolution_opens_no_second_survey(surveys: Stage) -> None:
    """Kafka may deliver twice; the requester is asked once."""
    delivery = delivery_of(a_ticket_resolved())
    await surveys.hears(an_account(), delivery, delivery)
    await surveys.hears(delivery)

    assert await surveys.count(Survey) == 1
    assert [type(event) for event in await surveys.said()] == [SurveyCreated, SurveyInvited]


async def test_a_resolution_published_twice_under_two_ids_opens_one_survey(surveys: Stage) -> None:
    """A publisher that repeats itself with a fresh id is still understood as one resolution."""
    await surveys.hears(an_account(), a_ticket_resolved(), a_ticket_resolved())

    assert await surveys.count(Survey) == 1


async def test_reopening_withdraws_an_unanswered_survey(surveys: Stage) -> None:
    """Nobody is to rate a ticket that is open again."""
    await surveys.hears(an_account(), a_ticket_resolved(), a_ticket_reopened())

    survey = await surveys.row(Survey)
    expired = (await surveys.said())[-1]
    assert (survey.state, survey.expired_reason) == ("expired", "reopened")
    assert isinstance(expired, SurveyExpired)
    assert expired.reason == "reopened"


async def test_an_update_to_an_active_status_withdraws_too(surveys: Stage) -> None:
    """The help desk may reopen a ticket without us."""
    await surveys.hears(an_account(), a_ticket_resolved())
    await surveys.hears(a_ticket_updated(ticket=a_ticket(version=4, status="open")))

    assert (await surveys.row(Survey)).state == "expired"


async def test_a_resolved_ticket_may_change_without_withdrawing_its_survey(surveys: Stage) -> None:
    """A change of assignee or a later closing undoes no resolution."""
    await surveys.hears(an_account(), a_ticket_resolved())
    await surveys.hears(
        a_ticket_updated(ticket=a_ticket(version=4, status="resolved", assignee=BEN)),
        a_ticket_updated(ticket=a_ticket(version=5, status="closed")),
    )

    assert (await surveys.row(Survey)).state == "pending"


async def test_resolving_again_asks_anew(surveys: Stage) -> None:
    """One survey for each resolution."""
    await surveys.hears(an_account(), a_ticket_resolved(), a_ticket_reopened())
    await surveys.hears(a_ticket_resolved(ticket=a_ticket(version=7, status="resolved")))

    states = [(survey.resolved_version, survey.state) for survey in await surveys.rows(Survey)]
    assert sorted(states) == [(3, "expired"), (7, "pending")]


async def test_a_reopening_heard_before_its_resolution_asks_nobody(surveys: Stage) -> None:
    """Topics give no order; the record says what became of the resolution, and no email goes out."""
    await surveys.hears(an_account(), a_ticket_reopened(), a_ticket_resolved())

    assert (await surveys.row(Survey)).state == "expired"
    assert [type(event) for event in await surveys.said()] == [SurveyCreated, SurveyExpired]


async def test_the_rating_is_about_the_assignee_at_the_resolution_else_who_replied_last(
    surveys: Stage,
) -> None:
    """Attribution is a snapshot and does not move."""
    resolved = [
        a_ticket(ticket_id="T-1", version=3, status="resolved", assignee=ADA, last_replier=BEN),
        a_ticket(ticket_id="T-2", version=3, status="resolved", assignee=None, last_replier=BEN),
        a_ticket(ticket_id="T-3", version=3, status="resolved", assignee=None),
    ]
    await surveys.hears(an_account(), *(a_ticket_resolved(ticket=ticket) for ticket in resolved))

    agents = {survey.ticket_id: survey.facts.agent for survey in await surveys.rows(Survey)}
    assert agents == {"T-1": ADA, "T-2": BEN, "T-3": None}


async def test_an_account_that_asks_nobody_skips_with_a_reason(surveys: Stage) -> None:
    """Every survey not sent has a reason that can be queried."""
    await surveys.hears(an_account(survey_policy=SurveyPolicy(enabled=False)), a_ticket_resolved())

    (skipped,) = await surveys.said()
    assert isinstance(skipped, SurveySkipped)
    assert skipped.reason == (await surveys.row(SkippedSurvey)).reason == "disabled"
    assert await surveys.count(Survey) == 0


async def test_a_requester_without_an_address_is_skipped(surveys: Stage) -> None:
    """Who cannot be reached is not asked."""
    nowhere = type(RITA)(requester_id="rita", name="Rita")
    await surveys.hears(
        an_account(), a_ticket_resolved(ticket=a_ticket(version=3, status="resolved", requester=nowhere))
    )

    assert (await surveys.row(SkippedSurvey)).reason == "no_address"


async def test_events_of_an_unknown_account_wait_until_it_is_told_of(surveys: Stage) -> None:
    """Topics give no order between each other, so an account may come after its first ticket."""
    await surveys.hears(a_ticket_resolved())
    assert await surveys.dead_letters() == ["waits for acme"]

    await surveys.hears(an_account())

    assert await surveys.dead_letters() == []
    assert await surveys.count(Survey) == 1


async def test_an_older_account_event_does_not_undo_a_newer_one(surveys: Stage) -> None:
    """The highest version wins, whatever the order of arrival."""
    await surveys.hears(
        an_account(version=2, survey_policy=SurveyPolicy(expires_after_days=3)),
        an_account(version=1, survey_policy=SurveyPolicy(expires_after_days=30)),
        a_ticket_resolved(),
    )

    survey = await surveys.row(Survey)
    assert (survey.expires_at - survey.created_at).days == 3


async def test_a_resolution_older_than_a_survey_can_be_answered_is_not_asked_about(surveys: Stage) -> None:
    """A new installation hears the help desk's whole history; nobody is asked about last year."""
    surveys.later(days=14)
    await surveys.hears(an_account(), a_ticket_resolved())

    (skipped,) = await surveys.said()
    assert skipped.reason == (await surveys.row(SkippedSurvey)).reason == "too_old"


async def test_a_resolution_that_was_skipped_is_not_asked_about_when_it_is_published_once_more(surveys: Stage) -> None:
    """What became of a resolution stays, though the account's policy may have changed."""
    await surveys.hears(an_account(survey_policy=SurveyPolicy(enabled=False)), a_ticket_resolved())
    await surveys.hears(an_account(version=2))

    await surveys.hears(a_ticket_resolved())

    assert [type(event) for event in await surveys.said()] == [SurveySkipped]
    assert await surveys.count(Survey) == 0


async def asked(surveys: Stage) -> Survey:
    """Ask about a resolved ticket, and forget what was said so far."""
    await surveys.hears(an_account(), a_ticket_resolved())
    await surveys.said()
    return await surveys.row(Survey)


@pytest.mark.parametrize("reason", ["bounced", "suppressed", "unwritable", "gave_up"])
async def test_a_survey_whose_invitation_did_not_arrive_expires_as_undeliverable(surveys: Stage, reason: str) -> None:
    """Nobody was asked, whyever the email failed; said once, however often the news comes."""
    survey = await asked(surveys)
    failed = a_notification_failed(subject_id=str(survey.survey_id), reason=reason)

    await surveys.hears(failed, failed)

    (expired,) = await surveys.said()
    assert isinstance(expired, SurveyExpired)
    assert expired.reason == "undeliverable"
    assert (await surveys.row(Survey)).expired_reason == "undeliverable"


@pytest.mark.parametrize(
    "other",
    [
        {"subject_id": "01950000-0000-7000-8000-00000000abcd"},
        {"subject_id": "no uuid"},
        {"account_id": "bolt"},
        {"ticket_id": "T-2"},
        {"kind": "reply_published"},
    ],
)
async def test_news_of_an_email_about_something_else_changes_nothing(surveys: Stage, other: dict) -> None:
    """A survey we do not know, another account's, or an email that was no invitation: no harm and no dead letter."""
    survey = await asked(surveys)

    await surveys.hears(a_notification_failed(**{"subject_id": str(survey.survey_id), **other}))

    assert (await surveys.row(Survey)).state == "pending"
    assert await surveys.said() == []
    assert await surveys.dead_letters() == []


async def test_a_reopening_outranks_an_invitation_that_did_not_arrive(surveys: Stage) -> None:
    """Whichever is heard first, a ticket that is open again is not to be rated, not even by who has the link."""
    survey = await asked(surveys)
    failed = a_notification_failed(subject_id=str(survey.survey_id))

    await surveys.hears(failed, a_ticket_reopened(), failed)

    assert [event.reason for event in await surveys.said()] == ["undeliverable", "reopened"]
    survey = await surveys.row(Survey)
    assert (survey.expired_reason, survey.state_at(surveys.clock())) == ("reopened", "expired")
