"""Forged events: ids of another tenant in a publisher's record move nothing of that tenant (S7, S33)."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from services.notifier.emails import Email
from services.portal.link import AccessLink
from services.portal.ticket import Message, Ticket
from services.surveys.survey import Survey
from shared.contracts import ReplyPublished, Requester, RequesterErased
from tests.attacks.conftest import invited
from tests.builders import (
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_reopened,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.notifier.builders import a_reply_published, a_survey_invited
from tests.portal.conftest import mailed
from tests.reports.told import a_key, a_survey, answered, created, expired, submitted, told
from tests.stage import Stage

MALLORY = Requester(requester_id="rita", name="Mallory", email="mallory@evil.example")
FORGED = a_ticket(version=99, subject="Taken over", status="closed", requester=MALLORY)


async def rows_of(stage: Stage, account_id: str) -> list[str]:
    """Everything that a service keeps of an account."""
    async with stage.service.sessions() as session:
        tables = await session.scalars(
            text(
                "SELECT table_name FROM information_schema.columns"
                " WHERE table_schema = 'public' AND column_name = 'account_id'"
            )
        )
        return [
            f"{table} {row}"
            for table in tables.all()
            for row in await session.execute(
                text(f'SELECT * FROM "{table}" WHERE account_id = :account ORDER BY 1, 2::text'),
                {"account": account_id},
            )
        ]


async def test_a_foreign_accounts_events_change_no_ticket_of_this_one(portal: Stage) -> None:
    """Poisoned events: the same ticket, reply and requester ids under another account are another ticket."""
    path = await mailed(portal)
    await portal.hears(an_account(account_id="evil", name="Evil"))
    before, page = await rows_of(portal, "acme"), (await portal.client.get(path)).text

    await portal.hears(
        a_ticket_created(account_id="evil", ticket=FORGED, description="Forged"),
        a_ticket_updated(account_id="evil", ticket=FORGED),
        a_ticket_resolved(account_id="evil", ticket=FORGED),
        a_reply_sent(account_id="evil", ticket=FORGED, body="Forged"),
        a_reply_received(account_id="evil", ticket=FORGED, body="Forged"),
    )

    assert await rows_of(portal, "acme") == before
    assert "Forged" not in (await portal.client.get(path)).text
    assert page.count("<article") == (await portal.client.get(path)).text.count("<article")
    (published,) = await portal.said()
    assert isinstance(published, ReplyPublished)
    assert published.account_id == "evil"
    assert published.link.removeprefix("https://portal.example") != path


@pytest.mark.parametrize(
    ("account_id", "ticket_id"),
    [("acme/T-1", "x"), ("acme/", "T-1"), ("", "acme/T-1"), ("ACME", "T-1"), ("acme ", "T-1")],
)
async def test_no_spelling_of_two_ids_is_the_spelling_of_others(portal: Stage, account_id: str, ticket_id: str) -> None:
    """Ambiguous keys: where account and ticket are joined by a slash, no pair of ids meets another pair."""
    path = await mailed(portal)
    before = await rows_of(portal, "acme")
    try:
        forged = a_reply_sent(account_id=account_id, ticket=replace(FORGED, ticket_id=ticket_id))
        account = an_account(account_id=account_id, name="Evil")
    except ValueError:
        return  # the contract refuses it
    await portal.hears(account, forged)

    assert await rows_of(portal, "acme") == before
    links = [portal.service.provided["links"].url(link) for link in await portal.rows(AccessLink)]
    assert len(set(links)) == 2
    assert (await portal.client.get(path)).status_code == 200


async def test_a_foreign_reopening_withdraws_no_survey(surveys: Stage) -> None:
    """Poisoned events: another account's reopening, update or resolution of the same ticket leaves the survey open."""
    await invited(surveys)
    await surveys.hears(an_account(account_id="evil"))
    before = await rows_of(surveys, "acme")

    await surveys.hears(
        a_ticket_reopened(account_id="evil", ticket=FORGED),
        a_ticket_updated(account_id="evil", ticket=replace(FORGED, status="open")),
        a_ticket_resolved(account_id="evil", ticket=replace(FORGED, status="resolved")),
    )

    assert await rows_of(surveys, "acme") == before
    assert (await surveys.row(Survey, account_id="acme")).state == "pending"


async def test_a_foreign_rating_is_in_nobody_elses_report(reports: Stage) -> None:
    """Poisoned events: the same survey id under another account neither adds to a report nor takes from it."""
    await reports.hears(an_account(), an_account(account_id="evil"), *(answered(f"s-{n}", 5) for n in range(6)))
    key = await a_key(reports)
    before = [await told(reports, path, key=key) for path in ("/summary", "/agents", "/responses")]

    for number in range(6):
        asked = a_survey(f"s-{number}", subject="Forged")
        await reports.hears(
            created(asked, account_id="evil"),
            submitted(asked, 1, account_id="evil", comment="Forged"),
            expired(asked, "reopened", account_id="evil"),
        )

    assert [await told(reports, path, key=key) for path in ("/summary", "/agents", "/responses")] == before


async def test_an_email_goes_to_whom_its_own_event_names_in_its_own_accounts_name(notifier: Stage) -> None:
    """Poisoned events: a foreign event with ids of ours mails under its own account's name, and hinders no email."""
    await notifier.hears(an_account(), an_account(account_id="evil", name="Evil"))
    await notifier.hears(
        a_reply_published(account_id="evil", ticket=FORGED),
        a_survey_invited(account_id="evil", ticket=FORGED),
        a_reply_published(),
        a_survey_invited(),
    )

    mails = {(email.account_id, email.recipient) for email in await notifier.rows(Email)}
    assert mails == {("acme", "rita@customer.example"), ("evil", "mallory@evil.example")}
    assert await notifier.count(Email) == 4


@pytest.mark.parametrize("service", ["portal", "surveys", "notifier", "reports"])
async def test_a_foreign_erasure_erases_nobody_here(every_stage: dict[str, Stage], service: str) -> None:
    """Poisoned events: another account's request names our requester, our tickets, and our account in its ids."""
    stage = every_stage[service]
    events = {
        "portal": [a_ticket_created(), a_reply_sent()],
        "surveys": [a_ticket_resolved()],
        "notifier": [a_reply_published(), a_survey_invited()],
        "reports": [created(a_survey("s-1", ticket_id="T-1")), submitted(a_survey("s-1", ticket_id="T-1"), 1)],
    }[service]
    if service in {"portal", "notifier"}:
        await stage.hears(a_reply_received(account_id="later"))  # waits among the dead letters
    await stage.hears(an_account(), *events)
    before = await rows_of(stage, "acme"), await stage.dead_letters()

    for account_id, requester_id in (("evil", "rita"), ("evil", "acme/rita"), ("acm", "rita"), ("acme ", "rita")):
        await stage.hears(
            RequesterErased(
                account_id=account_id,
                requester_id=requester_id,
                request_id="forged",
                erased_at=stage.clock(),
                ticket_ids=("T-1", "acme/T-1"),
            )
        )

    assert (await rows_of(stage, "acme"), await stage.dead_letters()) == before


async def test_an_internal_note_that_says_it_is_public_in_another_way_is_none(portal: Stage) -> None:
    """Confused visibility: only the very word `public` publishes."""
    await portal.hears(an_account())

    for number, visibility in enumerate(("Public", "PUBLIC", " public", "publiс", "true", "", "internal")):
        await portal.hears(a_reply_sent(reply_id=f"n-{number}", body="Secret note", visibility=visibility))

    assert [(message.message_id, message.body) for message in await portal.rows(Message)] == []
    assert await portal.said() == []


async def test_an_account_cannot_take_anothers_place(portal: Stage) -> None:
    """Poisoned events: an account's name, logo and colour are its own; a look-alike id is another account."""
    path = await mailed(portal)

    for account_id in ("аcme", "acme\u200b", "Acme", "acme.", "acme/T-1"):
        try:
            forged = an_account(account_id=account_id, version=99, name="Evil")
        except ValueError:
            continue
        await portal.hears(forged)

    assert "Acme Outdoor" in (await portal.client.get(path)).text
    assert "Evil" not in (await portal.client.get(path)).text
    assert len(await portal.rows(Ticket)) == 1
