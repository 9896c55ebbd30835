"""What becomes of tickets and conversations as events arrive."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete

from services.portal.handlers import keep_ticket, show_resolution
from services.portal.link import AccessLink
from services.portal.tables import Account, Table
from services.portal.ticket import Message, Ticket
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.migrations import drift
from shared.chassis.outbox import OutboxMessage
from shared.contracts import ReplyPublished
from tests.builders import (
    ADA,
    NOON,
    RITA,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.portal.conftest import everything_stored, mailed, reply
from tests.stage import Stage, delivery_of

SECRET = "the customer is on the fraud list"


def notes_dropped() -> float:
    """What the metric says."""
    return REGISTRY.get_sample_value("closeloop_internal_notes_dropped_total") or 0.0


async def conversation(portal: Stage) -> list[tuple[str, str, str]]:
    """Kind, author and text of each message, oldest first."""
    messages = sorted(await portal.rows(Message), key=lambda message: (message.sent_at, message.message_id))
    return [(message.kind, message.author_name, message.body or message.happening) for message in messages]


async def test_a_new_ticket_begins_a_conversation_with_what_its_requester_wrote(portal: Stage) -> None:
    """The first message is the requester's, at the time the ticket was made."""
    await portal.hears(an_account(), a_ticket_created())

    assert await conversation(portal) == [("requester", "Rita Gómez", "It snapped.")]
    assert (await portal.row(Message)).sent_at == NOON
    assert await portal.said() == []


@pytest.mark.parametrize("description", ["", " \r\n "])
async def test_a_ticket_without_words_begins_an_empty_conversation(portal: Stage, description: str) -> None:
    """Some channels have no first message."""
    await portal.hears(an_account(), a_ticket_created(description=description))

    assert await portal.count(Ticket) == 1
    assert await conversation(portal) == []


async def test_a_public_reply_is_shown_and_told_with_the_tickets_link(portal: Stage) -> None:
    """The notifier gets who wrote what, and where it can be answered."""
    await portal.hears(an_account(), a_reply_sent())

    (published,) = await portal.said()
    assert isinstance(published, ReplyPublished)
    assert (published.reply_id, published.author_name, published.body) == ("a-1", ADA.name, "A new pole is on its way.")
    assert published.published_at == NOON
    assert published.ticket == a_ticket(version=2)
    assert published.link.startswith("https://portal.example/t/")
    assert await conversation(portal) == [("agent", ADA.name, "A new pole is on its way.")]


async def test_a_reply_is_published_once(portal: Stage) -> None:
    """Neither a redelivery nor a second event about the same reply mails it again."""
    delivery = delivery_of(a_reply_sent())
    await portal.hears(an_account(), delivery, delivery, a_reply_sent())
    await portal.hears(delivery, a_reply_sent())

    assert [type(event) for event in await portal.said()] == [ReplyPublished]
    assert await portal.count(Message) == 1


async def test_all_replies_of_a_ticket_carry_one_link(portal: Stage) -> None:
    """Whichever email people find, its link works."""
    await portal.hears(an_account(), a_reply_sent(), a_reply_sent(reply_id="a-2"))

    first, second = await portal.said()
    assert first.link == second.link


async def test_a_published_reply_tells_the_newest_of_the_ticket(portal: Stage) -> None:
    """A late reply does not mail an address that was changed since."""
    moved = replace(RITA, email="new@customer.example")
    await portal.hears(
        an_account(), a_ticket_updated(ticket=a_ticket(version=9, requester=moved)), a_reply_sent(), a_reply_sent()
    )

    (published,) = await portal.said()
    assert published.ticket.requester.email == "new@customer.example"


@pytest.mark.parametrize("visibility", ["internal", "private", "", "PUBLIC"])
async def test_what_is_not_public_is_dropped_and_counted(portal: Stage, visibility: str) -> None:
    """No table has a word of an internal note: not of a known ticket, not of an unknown account, not of a repeat."""
    note = a_reply_sent(body=SECRET, visibility=visibility)
    before = notes_dropped()

    await portal.hears(note, an_account(), a_ticket_created())
    await portal.hears(
        a_reply_sent(reply_id="a-2"), a_reply_sent(body=SECRET, visibility=visibility), delivery_of(note)
    )

    assert SECRET not in await everything_stored(portal)
    assert notes_dropped() == before + 3
    assert await portal.count(DeadLetter) == 0
    assert len(await portal.said()) == 1


async def test_a_note_that_cannot_be_read_is_not_kept_either(portal: Stage) -> None:
    """A dead letter keeps a record whole, but a record of this topic may be a note: of those it keeps no value."""
    unreadable = delivery_of(a_reply_sent(body=SECRET, visibility="internal"))
    unreadable.value = (unreadable.value or b"").replace(b'"sent_at"', b'"sent_when"')
    nameless = delivery_of(a_reply_sent(body=SECRET, visibility="internal"))
    nameless.headers = [header for header in nameless.headers if header[0] != "ce_id"]

    await portal.hears(an_account(), unreadable, nameless)
    await portal.service.consumers.by_topic["reply.sent"].take_alone(unreadable)

    assert SECRET not in await everything_stored(portal)
    assert await portal.count(DeadLetter) == 2


async def test_a_note_beside_a_record_that_fails_is_not_kept(portal: Stage) -> None:
    """When one record of a batch fails, the others are taken alone; a note among them stays a note."""
    await portal.hears(
        an_account(), a_reply_sent(body=SECRET, visibility="internal"), a_reply_sent(account_id="unknown", reply_id="u")
    )

    assert SECRET not in await everything_stored(portal)
    assert await portal.dead_letters() == ["waits for unknown"]


async def test_a_resolution_is_noted_with_who_did_it(portal: Stage) -> None:
    """Once for each version, by name or by nobody."""
    await portal.hears(
        an_account(),
        a_ticket_resolved(),
        a_ticket_resolved(),
        a_ticket_resolved(ticket=a_ticket(version=7, status="resolved"), resolved_by=None),
    )

    assert await conversation(portal) == [("system", ADA.name, "resolved"), ("system", "", "resolved")]
    assert (await portal.row(Ticket)).status == "resolved"


async def test_what_the_requester_wrote_elsewhere_is_shown(portal: Stage) -> None:
    """Replies by email belong to the same conversation."""
    await portal.hears(an_account(), a_reply_received(), a_reply_received())

    assert await conversation(portal) == [("requester", "Rita Gómez", "Thank you!")]
    assert await portal.said() == []


async def test_the_portals_own_reply_coming_back_changes_nothing(portal: Stage) -> None:
    """reply.received is on a topic that the portal hears, too."""
    path = await mailed(portal, status="resolved")
    await reply(portal, path)
    received, _ = await portal.said()

    await portal.hears(received)

    assert await portal.count(Message) == 3
    assert (await portal.row(Ticket)).status == "open"
    assert await portal.said() == []


async def test_an_agents_and_a_requesters_reply_may_have_the_same_id(portal: Stage) -> None:
    """Ids are the help desk's; it may count the two apart, and no message is to go missing."""
    await portal.hears(an_account(), a_reply_sent(reply_id="1"), a_reply_received(reply_id="1"))

    assert await portal.count(Message) == 2


async def test_two_accounts_may_have_tickets_of_the_same_name(portal: Stage) -> None:
    """Each has its own conversation and its own link."""
    await portal.hears(
        an_account(), an_account(account_id="other"), a_reply_sent(), a_reply_sent(account_id="other", body="Other")
    )

    first, second = await portal.said()
    assert first.link != second.link
    assert await portal.count(Ticket) == await portal.count(AccessLink) == 2


async def test_events_of_an_unknown_account_wait_until_it_is_told_of(portal: Stage) -> None:
    """Topics give no order between each other, so an account may come after its first ticket."""
    await portal.hears(a_ticket_created(), a_reply_sent())
    assert await portal.dead_letters() == ["waits for acme", "waits for acme"]

    await portal.hears(an_account())

    assert await portal.dead_letters() == []
    assert await portal.count(Message) == 2


async def test_the_newest_of_an_account_stays(portal: Stage) -> None:
    """The highest version wins, whatever the order of arrival."""
    await portal.hears(an_account(version=2, name="Acme"), an_account(version=1, name="Old"))

    assert (await portal.row(Account)).name == "Acme"


async def test_what_no_database_takes_does_not_stop_a_message(portal: Stage) -> None:
    """Text from mail programs may hold NUL and odd line ends."""
    odd = "One\0\r\nTwo\r"
    await portal.hears(
        an_account(), a_ticket_created(description=odd), a_reply_sent(body=odd), a_reply_received(body=odd)
    )

    (published,) = await portal.said()
    assert {published.body, *(message.body for message in await portal.rows(Message))} == {"One\nTwo"}
    assert await portal.count(Message) == 3


async def test_two_topics_may_tell_of_a_new_ticket_at_the_same_moment(portal: Stage) -> None:
    """The second waits for the first one's commit and finds the ticket there, with its link."""
    await portal.hears(an_account())
    links = portal.service.provided["links"]
    async with portal.service.sessions() as first, portal.service.sessions() as second:
        await keep_ticket(a_ticket_updated(), first, NOON, links=links)
        resolving = asyncio.create_task(show_resolution(a_ticket_resolved(), second, NOON, links=links))
        await asyncio.sleep(0.1)
        assert not resolving.done()

        await first.commit()
        await resolving
        await second.commit()

    assert (await portal.row(Ticket)).status == "resolved"
    assert await portal.count(AccessLink) == 1


async def test_only_the_digest_of_a_link_is_stored(portal: Stage) -> None:
    """Who reads the database cannot open a ticket; the outbox, which mails the link, is emptied once it is sent."""
    path = await mailed(portal, status="resolved")
    await reply(portal, path)
    async with portal.service.sessions.begin() as session:
        await session.execute(delete(OutboxMessage))

    stored = await everything_stored(portal)
    assert path.rpartition("/")[2] not in stored
    assert "Ada Okafor" in stored


async def test_every_ticket_has_a_link_from_the_first_moment(portal: Stage) -> None:
    """It is good for 90 days, whichever event came first."""
    for number, event in enumerate((a_ticket_created, a_ticket_updated, a_ticket_resolved, a_reply_received)):
        await portal.hears(an_account(), event(ticket=a_ticket(ticket_id=f"T-{number}")))

    links = await portal.rows(AccessLink)
    assert [link.expires_at - link.created_at for link in links] == [timedelta(days=90)] * 4


async def test_tables_and_migrations_agree(portal: Stage) -> None:
    """A migrated database has exactly what the code declares."""
    url = portal.service.engine.url.render_as_string(hide_password=False)

    assert await drift(url, Table.metadata) == []


async def test_an_old_reply_is_shown_and_not_mailed(portal: Stage) -> None:
    """A new installation hears the help desk's whole history; nobody is to get last year's emails."""
    portal.later(days=7)
    await portal.hears(an_account(), a_reply_sent())

    assert await portal.said() == []
    assert (await portal.row(Message)).body == "A new pole is on its way."
