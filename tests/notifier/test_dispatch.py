"""From the queue to the mailbox: nothing lost, nothing twice, whatever the mail server does."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.notifier import dispatch, letters, queries
from services.notifier.emails import LEASE, Email
from services.notifier.mail import Later
from shared.contracts import Logo
from tests.builders import ADA, BEN, NOON, RITA, a_ticket_reopened, an_account
from tests.notifier.builders import PNG, SENDER, TICKET_LINK, a_reply_published, a_survey_invited, html_of, text_of
from tests.notifier.conftest import RITAS, Post, replies, replies_to, stopped, until
from tests.notifier.mailbox import Mailbox
from tests.stage import Stage


async def test_each_event_reaches_its_people(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """From the event to the mailbox, from our address, with logo, link and thread."""
    await notifier.hears(
        an_account(logo=Logo(media_type="image/png", data=PNG)),
        a_reply_published(),
        a_survey_invited(),
        a_ticket_reopened(),
    )

    await post.goes_out()

    assert sorted(mailbox.envelopes) == [
        (SENDER, ADA.email),
        (SENDER, BEN.email),
        (SENDER, RITA.email),
        (SENDER, RITA.email),
    ]
    assert {letter["Subject"] for letter in mailbox.letters} == {"Tent pole broke"}
    assert len({letter["References"] for letter in mailbox.letters}) == 1
    assert len({letter["Message-ID"] for letter in mailbox.letters}) == 4
    linked = [letter for letter in mailbox.letters if TICKET_LINK in text_of(letter)]
    assert len(linked) == 1
    assert TICKET_LINK in html_of(linked[0])
    assert all(email.state == "sent" and email.sent_at == NOON for email in await notifier.rows(Email))


async def test_a_line_of_one_dot_and_long_lines_arrive_as_written(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """SMTP's end mark inside a reply does not end the letter."""
    await notifier.hears(an_account(), a_reply_published(body="before\n.\n..\nafter " + "x" * 5000))

    await post.goes_out()

    assert "    before\n    .\n    ..\n    after " + "x" * 5000 in text_of(mailbox.letters[0])


async def test_what_is_sent_is_not_sent_again(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """One email, one letter."""
    await replies(notifier, 1)

    assert await post.goes_out()
    notifier.later(days=1)
    assert not await post.goes_out()

    assert len(mailbox.letters) == 1


async def test_links_leave_the_database_once_they_are_sent_or_will_not_be(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """Who reads the database later finds no way into a ticket."""
    mailbox.refuse["gone@customer.example"] = "550 5.1.1 no such user"
    await notifier.hears(an_account(), *replies_to(RITAS, "gone@customer.example"))

    await post.goes_out()

    async with notifier.service.sessions() as session:
        rows = (await session.execute(text("SELECT emails::text FROM emails"))).scalars().all()
    assert len(rows) == 2
    assert not any("k" * 43 in row for row in rows)
    assert sorted(email.state for email in await notifier.rows(Email)) == ["failed", "sent"]


async def test_a_burst_uses_few_connections(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Connections are used again, and there are no more than four at a time."""
    await replies(notifier, 30)

    async with post.going():
        await until(lambda: len(mailbox.letters) == 30)

    assert len({letter["Message-ID"] for letter in mailbox.letters}) == 30
    assert mailbox.connections <= dispatch.LANES


async def test_a_connection_carries_a_bounded_number_of_emails(
    notifier: Stage, mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers hang up after some number; we do so first, and go on with another connection."""
    monkeypatch.setattr(dispatch, "EMAILS_PER_CONNECTION", 2)
    await replies(notifier, 5)

    for sent in (2, 4, 5):
        await post.goes_out()
        assert len(mailbox.letters) == sent


async def test_an_idle_dispatcher_makes_no_connection(mailbox: Mailbox, post: Post) -> None:
    """The mail server is not asked four times a second whether it is there."""
    assert not await post.goes_out()

    assert mailbox.connections == 0


async def test_while_the_mail_server_is_down_nothing_is_lost_or_held_against_an_email(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """No email's waits grow by an outage that is not its fault: all go out as soon as the server is back."""
    await mailbox.close()
    await replies(notifier, 10)

    for _ in range(5):
        with pytest.raises(Later):
            await post.goes_out()
        notifier.later(minutes=1)
    assert {(email.state, email.attempts) for email in await notifier.rows(Email)} == {("queued", 0)}

    await mailbox.open()
    await post.goes_out()
    assert len(mailbox.letters) == 10


async def test_a_temporary_refusal_is_tried_again_with_growing_waits_and_one_message_id(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """A full or busy mailbox gets its letter later; the letter is recognisably the same one."""
    mailbox.refuse_text[RITAS] = "451 4.3.2 try again later"
    await replies(notifier, 1)
    email_id = (await notifier.row(Email)).id

    waits = []
    for _ in range(4):
        assert await post.goes_out()
        email = await notifier.row(Email)
        waits.append((email.due_at - notifier.clock.now).total_seconds())
        assert (email.state, email.last_error) == ("queued", "SMTPDataError 451 4.3.2")
        assert not await post.goes_out()
        notifier.clock.now = email.due_at
    assert waits == sorted(waits)
    assert waits[0] >= 8

    mailbox.refuse_text.clear()
    await post.goes_out()
    assert mailbox.letters[0]["Message-ID"] == f"<{email_id}@desk.example>"
    assert (await notifier.row(Email)).attempts == 5


@pytest.mark.parametrize("at", ["refuse", "refuse_text"])
async def test_a_refusal_for_good_fails_that_email_at_once_and_no_other(
    notifier: Stage, mailbox: Mailbox, post: Post, at: str
) -> None:
    """An address that does not exist is not asked for three days; its neighbours get their letters."""
    getattr(mailbox, at)["gone@customer.example"] = f"550 5.1.1 <gone@customer.example> {TICKET_LINK} unknown"
    await notifier.hears(an_account(), *replies_to("a@customer.example", "gone@customer.example", "b@customer.example"))

    await post.goes_out()

    failed = await notifier.row(Email, state="failed")
    assert failed.recipient == "gone@customer.example"
    assert failed.attempts == 1
    assert failed.last_error in {"SMTPRecipientRefused 550 5.1.1", "SMTPDataError 550 5.1.1"}
    assert sorted(recipient for _, recipient in mailbox.envelopes) == ["a@customer.example", "b@customer.example"]
    notifier.later(hours=2)
    assert not await post.goes_out()


async def test_a_refused_sender_fails_no_email(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """That our server or address is set up wrongly is not the emails' fault; they wait until it is mended."""
    mailbox.refuse_sender = "550 5.7.1 not your address"
    await replies(notifier, 2)

    await post.goes_out()
    assert {email.state for email in await notifier.rows(Email)} == {"queued"}

    mailbox.refuse_sender = None
    notifier.later(seconds=13)
    await post.goes_out()
    assert len(mailbox.letters) == 2


async def test_what_is_no_address_fails_and_the_others_go_out(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """The help desk may know nonsense for an address."""
    await notifier.hears(an_account(), *replies_to("no address", RITAS))

    await post.goes_out()

    assert (await notifier.row(Email, state="failed")).last_error == "not an address"
    assert len(mailbox.letters) == 1


async def test_a_letter_that_we_cannot_write_waits_and_the_others_go_out(
    notifier: Stage, mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours costs no email: it is tried again, by then perhaps with a mended template."""
    await notifier.hears(an_account(), a_reply_published(), a_survey_invited())
    write = letters._render

    def broken(name: str, words: dict[str, Any]) -> str:
        if name.startswith("survey"):
            raise RuntimeError(f"secret {words['link']}")
        return write(name, words)

    monkeypatch.setattr(letters, "_render", broken)
    await post.goes_out()

    waiting = await notifier.row(Email, state="queued")
    assert waiting.kind == "survey_invited"
    assert waiting.last_error.startswith("RuntimeError at test_dispatch.py:")
    assert len(mailbox.letters) == 1


async def test_after_72_hours_an_email_is_given_up(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """What is three days late helps nobody; the reason of the last try is kept, the link is not."""
    mailbox.refuse[RITAS] = "452 4.2.2 mailbox full"
    await replies(notifier, 1)
    await post.goes_out()

    notifier.clock.now = NOON + timedelta(hours=72)
    assert not await post.goes_out()

    email = await notifier.row(Email)
    assert (email.state, email.attempts) == ("failed", 1)
    assert email.last_error == "too late; before: SMTPRecipientRefused 452 4.2.2"
    assert email.facts.link is None


async def test_a_survey_that_has_ended_is_not_sent(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """After a long outage nobody is asked what can no longer be answered."""
    await notifier.hears(an_account(), a_survey_invited(expires_at=NOON + timedelta(days=1)))

    notifier.later(days=1)
    await post.goes_out()

    assert mailbox.letters == []
    assert (await notifier.row(Email)).last_error == "too late; before: not tried"


async def test_two_dispatchers_never_send_one_email_twice(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Replicas share the queue: what one has in hand the others pass over."""
    await replies(notifier, 40)

    await asyncio.gather(*(post.goes_out() for _ in range(2)))

    assert len(mailbox.letters) == 40
    assert len({letter["Message-ID"] for letter in mailbox.letters}) == 40
    assert {email.attempts for email in await notifier.rows(Email)} == {1}


async def test_an_email_that_another_is_taking_is_passed_over_without_waiting(notifier: Stage) -> None:
    """A dispatcher that is slow to commit holds up nobody."""
    await replies(notifier, 2)

    async with notifier.service.sessions.begin() as one, notifier.service.sessions.begin() as other:
        first = (await one.execute(queries.next_due(NOON))).first()
        second = (await asyncio.wait_for(other.execute(queries.next_due(NOON)), 2)).first()

    assert first is not None
    assert second is not None
    assert first[0].id != second[0].id


async def test_a_lease_is_committed_before_the_mail_server_is_told(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """No transaction is open during SMTP, and no crash in it makes others send at the same time."""
    mailbox.hold = asyncio.Event()
    await replies(notifier, 1)

    going = asyncio.create_task(post.goes_out())
    await until(lambda: mailbox.tried)
    email = await notifier.row(Email)
    assert (email.state, email.attempts) == ("queued", 1)
    assert email.held_until is not None
    assert abs(email.held_until - datetime.now(UTC) - LEASE) < timedelta(minutes=1)
    assert not await post.goes_out()

    mailbox.hold.set()
    await going
    assert len(mailbox.letters) == 1


async def test_a_clock_that_is_set_while_an_email_is_in_hand_sends_no_other(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """What one lane has in hand no other takes because its own clock says that the time is over."""
    mailbox.hold = asyncio.Event()
    await replies(notifier, 1)
    going = asyncio.create_task(post.goes_out())
    await until(lambda: mailbox.tried)

    notifier.later(hours=1)
    assert not await post.goes_out()

    mailbox.hold.set()
    await going
    assert len(mailbox.letters) == 1


@pytest.mark.parametrize("meanwhile", ["leased", "sent", "given up"])
async def test_who_was_overtaken_changes_nothing(notifier: Stage, mailbox: Mailbox, post: Post, meanwhile: str) -> None:
    """A try that outlived its lease does not undo what others did with the email since."""
    mailbox.hold = asyncio.Event()
    mailbox.refuse_text[RITAS] = "550 5.0.0 no"
    await replies(notifier, 1)
    slow = asyncio.create_task(post.goes_out())
    await until(lambda: mailbox.tried)

    async with notifier.service.sessions.begin() as session:
        email = await session.get_one(Email, (await notifier.row(Email)).id)
        if meanwhile == "given up":
            email.fail("gave_up", "too late", NOON)
        else:
            email.lease()
        if meanwhile == "sent":
            email.mark_sent(NOON)
    before = await notifier.row(Email)
    mailbox.hold.set()
    await slow

    after = await notifier.row(Email)
    assert (after.state, after.last_error, after.attempts) == (before.state, before.last_error, before.attempts)


async def test_an_email_in_hand_is_not_given_up(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """What is being sent as its time ends is sent, and says so."""
    mailbox.hold = asyncio.Event()
    await notifier.hears(an_account(), a_survey_invited(expires_at=NOON + timedelta(minutes=1)))
    slow = asyncio.create_task(post.goes_out())
    await until(lambda: mailbox.tried)

    notifier.later(minutes=2)
    assert not await post.goes_out()
    mailbox.hold.set()
    await slow

    assert (await notifier.row(Email)).state == "sent"


async def test_an_email_leaves_by_itself(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """The dispatcher that runs with the service finds a new email by itself, and goes on after an outage."""
    await mailbox.close()
    await replies(notifier, 1)
    chore = asyncio.create_task(post.dispatcher().send_due_emails(notifier.service.sessions, notifier.clock))
    try:
        await asyncio.sleep(0.3)
        await mailbox.open()
        await until(lambda: len(mailbox.letters) == 1)

        await notifier.hears(a_survey_invited())
        await until(lambda: len(mailbox.letters) == 2)
    finally:
        await stopped(chore)


async def test_a_service_that_stops_finishes_the_email_in_hand(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """A restart neither sends an email twice nor delays it by its lease."""
    mailbox.hold = asyncio.Event()
    await replies(notifier, 1)
    chore = asyncio.create_task(post.dispatcher().send_due_emails(notifier.service.sessions, notifier.clock))
    await until(lambda: mailbox.tried)

    chore.cancel()
    asyncio.get_running_loop().call_later(0.2, mailbox.hold.set)
    await stopped(chore)

    assert len(mailbox.letters) == 1
    assert (await notifier.row(Email)).state == "sent"
