"""A requester is erased: nothing of them is left in any table, whatever came before and whatever comes after."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from services.notifier.emails import Email
from services.notifier.tables import Suppression
from services.portal.handlers import begin_conversation
from services.portal.link import AccessLink
from services.portal.tables import Erasure, Quarantined
from services.portal.ticket import Message, Ticket
from services.reports.tables import CsatDaily, Rating
from services.surveys.survey import Survey
from services.surveys.tables import Quarantined as QuarantinedRating
from shared.chassis.dead_letters import DeadLetter
from shared.contracts import Event, ReplyPublished, Requester, RequesterForgotten, SurveyInvited
from tests.builders import (
    NOON,
    RITA,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_reopened,
    a_ticket_resolved,
    a_ticket_solved,
    a_ticket_updated,
    an_account,
)
from tests.notifier.builders import (
    a_link_renewed,
    a_reply_published,
    a_survey_invited,
    a_survey_reminded,
    a_survey_submitted,
)
from tests.portal.conftest import link_of, mailed, reply
from tests.privacy.conftest import PERSON, erasure, knows_acme, left_of_rita
from tests.reports.test_rollup import disagreements
from tests.reports.told import a_survey, answered, created, expired, submitted, told
from tests.stage import Delivery, Stage, delivery_of

JONAS = Requester(requester_id="jonas", name="Jonas Weber", email="jonas@customer.example")


def of_tickets() -> list[Event]:
    """What the help desk tells of Rita's ticket."""
    return [
        a_ticket_created(),
        a_reply_sent(body_html="<p>A new pole is on its way.</p>"),
        a_reply_received(),
        a_ticket_updated(),
        a_ticket_resolved(),
    ]


def of_reports(*, with_id: bool = True) -> list[Event]:
    """What surveys tells of Rita, by a release that says her id or by an older one."""
    facts = {"requester_id": "rita" if with_id else None, "ticket_id": "T-1"}
    one, two = a_survey("s-1", **facts), a_survey("s-2", **facts)
    return [created(one), submitted(one, 2, comment="It broke again"), created(two), expired(two)]


def of_emails() -> list[Event]:
    """What the notifier is told to write to Rita, and to agents about her."""
    return [
        a_reply_published(),
        a_link_renewed(),
        a_survey_invited(),
        a_survey_reminded(),
        a_reply_received(),
        a_ticket_reopened(),
        a_ticket_solved(),
        a_survey_submitted(survey=a_survey(requester_id="rita"), comment="It broke again"),
    ]


def places(events: Sequence[Event]) -> list[list[Event]]:
    """The events with the erasure before, between and after them."""
    return [[*events[:place], erasure(ticket_ids=("T-1",)), *events[place:]] for place in range(len(events) + 1)]


async def portal_state(portal: Stage) -> Any:
    """What the portal keeps, but for ids and times of its own."""
    return (
        [(ticket.version, ticket.snapshot, ticket.requester_id) for ticket in await portal.rows(Ticket)],
        [(message.kind, message.message_id) for message in await portal.rows(Message)],
        [(link.generation, link.revoked_at is not None) for link in await portal.rows(AccessLink)],
    )


async def test_whenever_it_comes_nothing_is_left_in_the_portal(portal: Stage) -> None:
    """Before, between or after her tickets' events, and when all of them come again: the same state, without her."""
    ends = []
    for events in places(of_tickets()):
        await portal.clear()
        await portal.hears(an_account(), *events)
        await portal.hears(*of_tickets())  # again, under other ids

        assert await left_of_rita(portal) == []
        ends.append(await portal_state(portal))

    assert all(end == ends[0] for end in ends)
    assert ends[0][1] == []
    assert ends[0][2] == [(1, True)]


async def test_whenever_it_comes_nothing_is_left_in_surveys(surveys: Stage) -> None:
    """A survey that was sent stays, without her; none is sent to who has no address."""
    for events in places([a_ticket_resolved(), a_ticket_reopened(), a_ticket_updated()]):
        await surveys.clear()
        await surveys.hears(an_account(), *events)
        await surveys.hears(a_ticket_resolved(), a_ticket_reopened(), a_ticket_updated())

        assert await left_of_rita(surveys) == []


async def test_whenever_it_comes_nothing_is_left_in_the_notifier(notifier: Stage) -> None:
    """No email to her or about her is kept or written, but that somebody gave few stars."""
    for events in places(of_emails()):
        await notifier.clear()
        await notifier.hears(an_account(), *events)
        await notifier.hears(*of_emails())

        assert await left_of_rita(notifier) == []
        assert {(email.kind, email.facts.text) for email in await notifier.rows(Email)} <= {("survey_submitted", "")}


@pytest.mark.parametrize("with_id", [True, False])
async def test_whenever_it_comes_nothing_is_left_in_reports_and_no_figure_moves(reports: Stage, with_id: bool) -> None:
    """Scores, days and agents stay: every count is as without the erasure, and the rollup still agrees."""
    events = of_reports(with_id=with_id)
    await reports.hears(an_account(), *events)
    counts = await rollup_of(reports)

    for erased in places(events):
        await reports.clear()
        await reports.hears(an_account(), *erased)
        await reports.hears(*events)

        assert await left_of_rita(reports) == []
        assert await rollup_of(reports) == counts
        assert await disagreements(reports) == []
        assert {(row.score, row.comment) for row in await reports.rows(Rating)} == {(2, ""), (None, None)}


async def rollup_of(reports: Stage) -> list[tuple]:
    """Every count."""
    columns = [column.name for column in CsatDaily.__table__.columns]
    return [tuple(getattr(row, name) for name in columns) for row in await reports.rows(CsatDaily)]


async def test_figures_and_other_peoples_comments_stay_as_they_were(reports: Stage) -> None:
    """What the API tells is the same but for her words."""
    others = [answered(f"o-{number}", 4, comment="Quick", requester_id="jonas") for number in range(5)]
    await reports.hears(an_account(), *others, *of_reports())
    before = [await told(reports, path) for path in ("/summary", "/distribution", "/agents", "/trend")]

    await reports.hears(erasure())

    assert [await told(reports, path) for path in ("/summary", "/distribution", "/agents", "/trend")] == before
    responses = (await told(reports, "/responses"))["responses"]
    assert sorted(response["comment"] for response in responses) == ["", *["Quick"] * 5]


async def test_the_tickets_link_opens_nothing_any_more(portal: Stage) -> None:
    """It answers as one that never was; a later reply is neither shown nor mailed."""
    path = await mailed(portal)
    await portal.hears(erasure())
    await portal.said()

    await portal.hears(a_reply_sent(reply_id="a-9", ticket=a_ticket(version=9)))
    dead, unknown = await portal.client.get(path), await portal.client.get("/t/" + "A" * 43)
    assert (dead.status_code, dead.content) == (unknown.status_code, unknown.content) == (404, unknown.content)
    assert (await portal.client.post(path, data={"body": "Hello"})).status_code == 404
    assert [event for event in await portal.said() if isinstance(event, ReplyPublished)] == []


async def test_the_surveys_link_opens_nothing_any_more_and_nobody_is_asked(surveys: Stage) -> None:
    """Answered or not, the page is gone; a later resolution leads to no survey."""
    await surveys.hears(an_account(), a_ticket_resolved())
    invited = (await surveys.said())[-1]
    assert isinstance(invited, SurveyInvited)
    path = invited.link.removeprefix("https://surveys.example")

    await surveys.hears(erasure(), a_ticket_resolved(ticket=a_ticket(version=9, status="resolved")))

    assert (await surveys.client.get(path)).content == (await surveys.client.get("/s/" + "A" * 43)).content
    assert [event for event in await surveys.said() if isinstance(event, SurveyInvited)] == []


async def test_replies_and_ratings_that_were_put_aside_go_too(portal: Stage, surveys: Stage) -> None:
    """A robot's form, or hers, is no hiding place."""
    path = await mailed(portal)
    await reply(portal, path, website="x")
    await surveys.hears(an_account(), a_ticket_resolved())
    invited = (await surveys.said())[-1]
    assert isinstance(invited, SurveyInvited)
    survey = invited.link.removeprefix("https://surveys.example")
    await surveys.client.post(survey, data={"score": "1", "comment": "It broke again", "website": "x"})
    assert await portal.count(Quarantined) == await surveys.count(QuarantinedRating) == 1

    await portal.hears(erasure())
    await surveys.hears(erasure())

    assert await portal.count(Quarantined) == await surveys.count(QuarantinedRating) == 0
    assert await left_of_rita(portal) == await left_of_rita(surveys) == []


async def test_others_keep_what_is_theirs(portal: Stage) -> None:
    """Another's ticket, the same id in another account, and what the ticket's next requester was written."""
    passed_on = a_ticket(ticket_id="T-2", version=5, requester=JONAS)
    await portal.hears(
        an_account(),
        an_account(account_id="bolt"),
        a_ticket_created(account_id="bolt"),
        a_ticket_created(ticket=a_ticket(ticket_id="T-2")),
        a_reply_sent(ticket=passed_on, reply_id="a-2", body="Dear Jonas"),
        a_ticket_created(ticket=a_ticket(ticket_id="T-3", requester=JONAS), description="Mine"),
    )
    old = await link_of(portal, "T-2")

    await portal.hears(erasure(), a_reply_sent(ticket=replace(passed_on, version=6), reply_id="a-3", body="And again"))

    left = {(row.account_id, row.ticket_id, row.body) for row in await portal.rows(Message)}
    assert left == {
        ("bolt", "T-1", "It snapped."),
        ("acme", "T-2", "Dear Jonas"),
        ("acme", "T-2", "And again"),
        ("acme", "T-3", "Mine"),
    }
    assert (await portal.client.get(old)).status_code == 404
    assert max(link.generation for link in await portal.rows(AccessLink, ticket_id="T-2")) == 2


async def test_what_waits_for_its_account_is_stripped_and_still_has_its_effect(reports: Stage) -> None:
    """Dead letters hold events whole: those about her keep scores and dates, whether they came before or after."""
    first, second = of_reports()[:2]
    await reports.hears(first)
    await reports.hears(erasure())
    await reports.hears(second)
    assert await reports.count(DeadLetter) == 2
    assert await left_of_rita(reports) == []

    await reports.hears(an_account())

    assert await reports.count(DeadLetter) == 0
    assert (await reports.row(Rating)).score == 2
    assert await left_of_rita(reports) == []


async def test_a_letter_that_nobody_can_read_loses_its_value_if_it_names_her(portal: Stage) -> None:
    """What is no event may hold her words all the same; other people's and other accounts' letters stay whole."""
    broken = delivery_of(a_ticket_created()).value or b""
    cut = broken[:-2]
    of_jonas = delivery_of(a_ticket_created(ticket=a_ticket(requester=JONAS))).value or b""
    for key, value in (
        (b"acme/T-1", cut),
        (b"acme/T-1", broken.replace(b'"version":1', b'"version":"x"')),
        (b"bolt/T-1", cut.replace(b"acme", b"bolt")),
        (b"acme/T-4", of_jonas[:-2]),
    ):
        await portal.hears(Delivery("ticket.created", key, value, delivery_of(a_ticket_created()).headers))

    await portal.hears(erasure())

    letters = sorted(await portal.rows(DeadLetter), key=lambda letter: letter.id)
    assert [letter.value is None for letter in letters] == [True, True, False, False]
    assert all(":" not in letter.reason for letter in letters[:2])


async def test_events_that_are_not_published_yet_go_out_without_her(portal: Stage) -> None:
    """While Kafka is down: what carries her link is not published at all."""
    path = await mailed(portal)
    await reply(portal, path)

    await portal.hears(erasure())

    waiting = await portal.said()
    assert [type(event).__name__ for event in waiting] == ["ReplyReceived", "RequesterForgotten"]
    assert await left_of_rita(portal) == []


async def test_each_request_has_one_receipt_that_counts_what_went(portal: Stage) -> None:
    """The help desk can prove it; a request that comes again has no second one, another request has its own."""
    await portal.hears(an_account(), a_ticket_created(), a_reply_sent())
    await portal.said()

    await portal.hears(erasure(), erasure(), erasure(request_id="erasure-2"))

    first, second = [event for event in await portal.said() if isinstance(event, RequesterForgotten)]
    assert first == RequesterForgotten(
        account_id="acme",
        requester_id="rita",
        request_id="erasure-1",
        service="portal",
        rows={
            "tickets": 1,
            "messages": 2,
            "access_links": 1,
            "quarantined": 0,
            "attached_files": 0,
            "dead_letters": 0,
            "outbox": 1,
        },
        forgotten_at=NOON,
    )
    assert (second.request_id, second.rows["messages"]) == ("erasure-2", 0)
    assert await portal.count(Erasure) == 2


async def test_every_service_gives_a_receipt_also_for_who_is_unknown(stages: dict[str, Stage]) -> None:
    """Nothing found is an answer, too; it needs no account."""
    for service, stage in stages.items():
        await stage.hears(erasure())

        (receipt,) = await stage.said()
        assert isinstance(receipt, RequesterForgotten)
        assert (receipt.service, sum(receipt.rows.values())) == (service, 0)


async def test_who_is_being_stored_at_this_moment_is_not_missed(portal: Stage) -> None:
    """The erasure waits for transactions that may store her, and they see it when they come after it."""
    await knows_acme(portal)
    amend = portal.service.events.amend
    assert amend
    links = portal.service.provided["links"]
    async with portal.service.sessions.begin() as session:
        (event,) = await amend(session, [a_ticket_created()])
        await begin_conversation(event, session, NOON, links=links)  # pyright: ignore[reportArgumentType]
        erasing = asyncio.create_task(portal.hears(erasure()))
        await asyncio.sleep(0.2)
        assert not erasing.done()
    await erasing

    assert await portal.count(Ticket) == 1
    assert await left_of_rita(portal) == []


async def test_a_reply_that_is_sent_at_this_moment_is_not_kept(portal: Stage) -> None:
    """The form waits for the ticket's lock, and then finds no ticket behind its link."""
    path = await mailed(portal)
    async with portal.service.sessions.begin() as session:
        await session.scalar(select(Ticket).with_for_update())
        sending = asyncio.create_task(reply(portal, path))
        await asyncio.sleep(0.5)
        erase = text("UPDATE tickets SET snapshot = jsonb_set(snapshot, '{requester,erased}', 'true')")
        await session.execute(erase)

    assert (await sending).status_code == 404
    assert [message.kind for message in await portal.rows(Message)] == ["agent"]


async def test_her_addresses_are_written_to_again(notifier: Stage) -> None:
    """A suppression holds an address; others' stay."""
    await notifier.hears(an_account(), a_reply_published())
    async with notifier.service.sessions.begin() as session:
        for address, whose in (("rita@customer.example", None), ("rita@old.example", "rita"), ("ben@x.example", None)):
            session.add(
                Suppression(account_id="acme", address=address, code="5.1.1", suppressed_at=NOON, requester_id=whose)
            )

    await notifier.hears(erasure())

    assert [row.address for row in await notifier.rows(Suppression)] == ["ben@x.example"]


async def test_emails_of_older_releases_are_found_by_their_ticket(notifier: Stage) -> None:
    """Rows without the requester's id go by the tickets that the help desk names."""
    await notifier.hears(an_account(), *of_emails(), a_reply_published(ticket=a_ticket(ticket_id="T-2"), reply_id="b"))
    async with notifier.service.sessions.begin() as session:
        await session.execute(text("UPDATE emails SET requester_id = NULL"))

    await notifier.hears(erasure(ticket_ids=("T-1", "T-s-1")))

    assert {email.facts.ticket_id for email in await notifier.rows(Email)} == {"T-2"}


async def test_surveys_of_older_releases_are_found_by_their_ticket(surveys: Stage) -> None:
    """The same for surveys that do not know whom they asked."""
    await surveys.hears(an_account(), a_ticket_resolved())
    async with surveys.service.sessions.begin() as session:
        await session.execute(text("UPDATE surveys SET facts = facts - 'requester_id'"))

    await surveys.hears(erasure(ticket_ids=("T-1",)))

    assert (await surveys.row(Survey)).facts.requester_name == ""
    assert await left_of_rita(surveys) == []


def test_the_words_looked_for_are_those_of_the_builders() -> None:
    """Else nothing would be found where something is."""
    said = " ".join(map(repr, (*of_tickets(), *of_reports(), *of_emails())))

    assert [words for words in PERSON if words not in said] == []
    assert RITA.name in PERSON
    assert erasure().erased_at - NOON == timedelta(hours=1)
