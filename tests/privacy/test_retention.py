"""Nothing is kept longer than docs/privacy.md says."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text, update

from services.notifier import retention as of_notifier
from services.notifier.emails import Email
from services.notifier.tables import Suppression
from services.portal import retention as of_portal
from services.portal.link import AccessLink
from services.portal.ticket import Message, Ticket
from services.reports import retention as of_reports
from services.reports.tables import CsatDaily, Rating
from services.surveys import retention as of_surveys
from services.surveys.survey import Survey
from services.surveys.tables import SkippedSurvey
from shared.chassis import inbox, retention
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.retention import Retention
from shared.contracts import ReplyPublished, SurveyPolicy
from shared.public_pages import quarantine
from tests.builders import (
    NOON,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.notifier.builders import a_reply_published
from tests.portal.conftest import mailed
from tests.privacy.conftest import left_of_rita
from tests.reports.test_live import heard
from tests.reports.told import a_key, answered, told
from tests.stage import Stage

DOCUMENT = Path(__file__).parents[2] / "docs/privacy.md"
PERIODS = {"portal": of_portal, "surveys": of_surveys, "notifier": of_notifier, "reports": of_reports}


def table() -> list[str]:
    """The document's rows on how long things are kept."""
    return DOCUMENT.read_text().partition("## How long")[2].splitlines()


async def keeps_to_its_periods(stage: Stage, service: str) -> None:
    """One round of the service's own."""
    periods = PERIODS[service].periods(stage.service.settings)
    await Retention(periods).drop_all(stage.service.sessions, stage.clock)


@pytest.mark.parametrize("service", PERIODS)
async def test_the_document_says_what_the_code_does(stages: dict[str, Stage], service: str) -> None:
    """Each period with its setting and its days; no row that the code does not keep to."""
    stage = stages[service]
    written = table()

    rows = [
        f"| {service} | {period.what} | {period.days} | {f'`{period.setting}`' if period.setting else 'fixed'} |"
        for period in PERIODS[service].periods(stage.service.settings)
    ]

    assert [row for row in rows if row not in written] == []
    assert len([line for line in written if line.startswith(f"| {service} |")]) == len(rows)
    assert "keep_to_periods" in [chore.__name__ for chore in stage.service.chores]


def test_the_document_knows_what_is_kept_for_a_fixed_time() -> None:
    """The same for what every service forgets by itself."""
    written = table()

    assert f"| all | ids of events that had their effect | {inbox.DAYS} | fixed |" in written
    assert f"| portal, surveys | what looks like a robot's | {quarantine.KEPT_FOR.days} | fixed |" in written


async def test_a_closed_ticket_is_forgotten_two_years_after_anything_happened(portal: Stage) -> None:
    """Its words are gone; its link, long expired, answers as one that never was; an open ticket stays."""
    path = await mailed(portal)
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=5, status="closed")))
    await portal.hears(a_reply_sent(ticket=a_ticket(ticket_id="T-open"), reply_id="a-2"))
    portal.later(days=819)
    await keeps_to_its_periods(portal, "portal")
    assert await portal.count(Ticket) == 2

    portal.later(days=2)
    await keeps_to_its_periods(portal, "portal")

    assert [ticket.ticket_id for ticket in await portal.rows(Ticket)] == ["T-open"]
    assert [message.ticket_id for message in await portal.rows(Message)] == ["T-open"]
    gone, unknown = await portal.client.get(path), await portal.client.get("/t/" + "A" * 43)
    assert (gone.status_code, gone.content) == (404, unknown.content)


async def test_a_ticket_that_comes_back_after_that_has_no_link_that_was_revoked(portal: Stage) -> None:
    """The newest link outlives its ticket as a digest, so its token is never given out again."""
    path = await mailed(portal)
    async with portal.service.sessions.begin() as session:
        await session.execute(update(AccessLink).values(revoked_at=NOON))
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=5, status="closed")))
    portal.later(days=900)
    await keeps_to_its_periods(portal, "portal")
    assert await portal.count(Ticket) == 0

    await portal.hears(a_reply_sent(ticket=a_ticket(version=6), reply_id="a-9", sent_at=portal.clock()))

    (published,) = [event for event in await portal.said() if isinstance(event, ReplyPublished)]
    assert published.link.removeprefix("https://portal.example") != path
    assert (await portal.client.get(path)).status_code == 404


async def test_links_that_were_replaced_go_and_the_newest_stays(portal: Stage) -> None:
    """A month after they could have opened anything."""
    await mailed(portal)
    async with portal.service.sessions.begin() as session:
        await session.execute(update(AccessLink).values(revoked_at=NOON))
    await portal.hears(a_reply_sent(ticket=a_ticket(version=3), reply_id="a-2"))
    assert await portal.count(AccessLink) == 2

    portal.later(days=121)
    await keeps_to_its_periods(portal, "portal")

    assert [link.generation for link in await portal.rows(AccessLink)] == [2]


async def test_a_survey_keeps_its_score_and_loses_its_words(surveys: Stage) -> None:
    """Two years after it ended; its page is gone with them."""
    await surveys.hears(an_account(), a_ticket_resolved())
    path = (await surveys.said())[-1].link.removeprefix("https://surveys.example")  # type: ignore[attr-defined]
    async with surveys.service.sessions.begin() as session:
        survey = (await session.scalars(text("SELECT survey_id FROM surveys"))).one()
        row = await session.get(Survey, survey)
        assert row
        row.answer(2, "It broke again", NOON)
        await session.execute(text("DELETE FROM outbox"))
    surveys.later(days=729)
    await keeps_to_its_periods(surveys, "surveys")
    assert (await surveys.row(Survey)).comment == "It broke again"

    surveys.later(days=16)
    await keeps_to_its_periods(surveys, "surveys")

    assert ((await surveys.row(Survey)).score, await left_of_rita(surveys)) == (2, [])
    assert (await surveys.client.get(path)).status_code == 404


async def test_why_somebody_was_not_asked_is_forgotten_after_a_year(surveys: Stage) -> None:
    """It is a row for each resolution of an account without surveys."""
    await surveys.hears(
        an_account(survey_policy=SurveyPolicy(enabled=False)),
        *(a_ticket_resolved(ticket=a_ticket(ticket_id=f"T-{n}", version=3, status="resolved")) for n in range(3)),
    )
    surveys.later(days=366)

    await keeps_to_its_periods(surveys, "surveys")

    assert await surveys.count(SkippedSurvey) == 0


async def test_emails_and_bad_addresses_are_forgotten_and_what_waits_is_not(notifier: Stage) -> None:
    """Ninety days and a year. A queued email is dispatch's to give up."""
    await notifier.hears(an_account(), a_reply_published(), a_reply_published(reply_id="a-2"))
    async with notifier.service.sessions.begin() as session:
        await session.execute(
            text("UPDATE emails SET state = 'sent', sent_at = now(), facts = facts - 'link' WHERE subject_id = 'a-1'")
        )
        session.add(Suppression(account_id="acme", address="x@y.example", code="5.1.1", suppressed_at=NOON))
    notifier.later(days=91)
    await keeps_to_its_periods(notifier, "notifier")
    assert [email.subject_id for email in await notifier.rows(Email)] == ["a-2"]
    assert await notifier.count(Suppression) == 1

    notifier.later(days=300)
    await keeps_to_its_periods(notifier, "notifier")

    assert await notifier.count(Suppression) == 0


async def test_agents_are_not_told_of_what_is_older_than_a_week(notifier: Stage) -> None:
    """History that is heard again, after emails were forgotten, is not mailed again."""
    await notifier.hears(an_account())
    notifier.later(days=7)

    await notifier.hears(a_reply_received())

    assert await notifier.count(Email) == 0


async def test_ratings_keep_their_scores_and_lose_their_words(reports: Stage) -> None:
    """Two years later; no figure moves."""
    await reports.hears(an_account(), *(answered(f"s-{n}", 4, comment="It broke again") for n in range(3)))
    counts = [row.score_4 for row in await reports.rows(CsatDaily)]
    summary = {"from_": "2026-03-01", "to": "2026-03-08"}
    key = await a_key(reports)
    before = await told(reports, "/summary", key=key, **summary)
    reports.later(days=731)

    async with heard(reports) as channel:
        await keeps_to_its_periods(reports, "reports")

    assert channel == [["acme", None]], "open pages let go of the words, too"
    assert {(row.score, row.comment, row.subject) for row in await reports.rows(Rating)} == {(4, "", "")}
    assert [row.score_4 for row in await reports.rows(CsatDaily)] == counts
    assert await told(reports, "/summary", key=key, **summary) == before


async def test_dead_letters_go_after_ninety_days_and_those_with_a_link_after_a_week(notifier: Stage) -> None:
    """Who has a link has a ticket; Kafka does not keep it longer either."""
    await notifier.hears(a_reply_published(), a_reply_received())  # no account yet: both wait
    async with notifier.service.sessions.begin() as session:
        await session.execute(update(DeadLetter).values(died_at=NOON))
    notifier.later(days=8)
    await keeps_to_its_periods(notifier, "notifier")
    assert [letter.topic for letter in await notifier.rows(DeadLetter)] == ["reply.received"]

    notifier.later(days=83)
    await keeps_to_its_periods(notifier, "notifier")

    assert await notifier.count(DeadLetter) == 0


async def test_two_replicas_drop_a_lot_in_small_batches_and_count_each_row_once(
    notifier: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No long transaction, none that waits for another, and a metric that can be believed."""
    monkeypatch.setattr(retention, "BATCH", 7)
    await notifier.hears(an_account(), *(a_reply_published(reply_id=f"a-{n}") for n in range(40)))
    async with notifier.service.sessions.begin() as session:
        await session.execute(
            text("UPDATE emails SET state = 'failed', failed_reason = 'gave_up', facts = facts - 'link'")
        )
    notifier.later(days=91)
    before = REGISTRY.get_sample_value("closeloop_retention_dropped_total", {"what": "emails, sent or failed"}) or 0

    await asyncio.gather(*(keeps_to_its_periods(notifier, "notifier") for _ in range(2)))
    await keeps_to_its_periods(notifier, "notifier")

    after = REGISTRY.get_sample_value("closeloop_retention_dropped_total", {"what": "emails, sent or failed"})
    assert await notifier.count(Email) == 0
    assert after == before + 40
