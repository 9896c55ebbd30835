"""An email that will not arrive: it is said, once, and an address that does not exist is not tried again."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from services.notifier.emails import Email
from services.notifier.failures import says_no_such_address
from services.notifier.tables import Suppression
from shared.contracts import Event, NotificationFailed
from tests.builders import ADA, NOON, RITA, a_ticket, a_ticket_reopened, an_account
from tests.notifier.builders import SURVEY_LINK, a_reply_published, a_survey_invited
from tests.notifier.conftest import RITAS, Post, replies, replies_to, until
from tests.notifier.mailbox import Mailbox
from tests.stage import Stage

UNKNOWN = "550 5.1.1 <{}> unknown, see https://mx.example/" + "k" * 43


async def failed(notifier: Stage) -> NotificationFailed:
    """The only thing said since the last call."""
    (event,) = await notifier.said()
    assert isinstance(event, NotificationFailed)
    return event


async def test_a_refused_invitation_is_said_with_what_it_was_about_and_no_person(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """Surveys and the help desk learn which email failed and why; who it was for is nobody's business."""
    mailbox.refuse[RITAS] = UNKNOWN.format(RITAS)
    await notifier.hears(an_account(), a_survey_invited())

    await post.goes_out()

    event = await failed(notifier)
    assert event == NotificationFailed(
        account_id="acme",
        ticket_id="T-1",
        notification_id=str((await notifier.row(Email)).id),
        kind="survey_invited",
        subject_id="s-1",
        reason="bounced",
        code="550 5.1.1",
        failed_at=NOON,
    )
    assert event.key == "acme/T-1"
    said = msgspec.json.encode(event).decode()
    assert not [word for word in (RITAS, RITA.name, SURVEY_LINK, "customer.example", "https", "k" * 43) if word in said]


async def test_each_of_the_four_kinds_says_what_it_was_about(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Also an agent's address may be wrong; the help desk can tell whom to ask by the kind."""
    for address in (RITAS, ADA.email, "ben@desk.example"):
        mailbox.refuse[address] = "550 5.7.1 no"
    await notifier.hears(an_account(), a_reply_published(), a_survey_invited(), a_ticket_reopened())

    await post.goes_out()

    said = sorted((event.kind, event.subject_id) for event in await notifier.said())
    assert said == [("reply_published", "a-1"), ("survey_invited", "s-1"), *[("ticket_reopened", "r-9")] * 2]


async def test_what_is_no_address_is_said_as_unwritable(notifier: Stage, post: Post) -> None:
    """No server was asked, so there is no code."""
    await notifier.hears(an_account(), *replies_to("no address"))

    await post.goes_out()

    event = await failed(notifier)
    assert (event.reason, event.code) == ("unwritable", "")


async def test_what_is_given_up_is_said_so(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """72 hours of 4xx end in a failure that others can act on."""
    mailbox.refuse[RITAS] = "452 4.2.2 mailbox full"
    await replies(notifier, 1)
    await post.goes_out()
    assert await notifier.said() == []

    notifier.later(hours=73)
    await post.goes_out()

    event = await failed(notifier)
    assert (event.reason, event.code) == ("gave_up", "")
    assert event.failed_at == NOON + timedelta(hours=73)
    assert await notifier.count(Suppression) == 0


async def test_what_is_settled_together_is_committed_together(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """An email that failed and was not told of would leave its survey open for ever; neither is without the other."""
    mailbox.refuse[RITAS] = "550 5.1.1 unknown"
    await replies(notifier, 1)
    async with notifier.service.sessions.begin() as session:
        await session.execute(text("ALTER TABLE outbox ADD CONSTRAINT shut CHECK (topic <> 'notification.failed')"))
    try:
        with pytest.raises(Exception, match="shut"):
            await post.goes_out()
    finally:
        async with notifier.service.sessions.begin() as session:
            await session.execute(text("ALTER TABLE outbox DROP CONSTRAINT shut"))

    assert (await notifier.row(Email)).state == "queued"
    assert await notifier.count(Suppression) == 0


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("550 5.1.1", True),
        ("5.1.1", True),
        ("550 5.1.2", True),
        ("501 5.1.3", True),
        ("551 5.1.6", True),
        ("556 5.1.10", True),
        ("550", False),
        ("553", False),
        ("", False),
        ("550 5.1.0", False),
        ("550 5.1.7", False),
        ("550 5.1.8", False),
        ("550 5.2.1", False),
        ("552 5.2.2", False),
        ("552 5.3.4", False),
        ("550 5.4.4", False),
        ("554 5.6.0", False),
        ("554 5.7.1", False),
        ("450 4.1.1", False),
        ("550 5.1.11", False),
    ],
)
def test_only_a_code_about_the_recipients_address_speaks_against_it(code: str, bad: bool) -> None:
    """A letter that is not liked must not silence the person it was for. Source: RFC 3463."""
    assert says_no_such_address(code) is bad


@pytest.mark.parametrize("at", ["refuse", "refuse_text"])
async def test_an_address_that_does_not_exist_is_suppressed(
    notifier: Stage, mailbox: Mailbox, post: Post, at: str
) -> None:
    """However it is written, for this account, with what the server said and when."""
    getattr(mailbox, at)["Gone@Customer.example"] = "550 5.1.1 unknown"
    await notifier.hears(an_account(), *replies_to("Gone@Customer.example"))

    await post.goes_out()

    row = await notifier.row(Suppression)
    assert (row.account_id, row.address, row.code) == ("acme", "gone@customer.example", "550 5.1.1")
    assert row.suppressed_at == NOON


async def test_a_refused_sender_suppresses_nobody(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Whatever code a server gives for our own address."""
    mailbox.refuse_sender = "550 5.1.1 who are you?"
    await replies(notifier, 1)

    await post.goes_out()

    assert await notifier.count(Suppression) == 0


async def test_a_suppressed_address_is_not_tried_again_and_that_is_said(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """Each further email fails at once, without a word to the mail server."""
    mailbox.refuse[RITAS] = "550 5.1.1 unknown"
    await replies(notifier, 1)
    await post.goes_out()
    await notifier.said()

    await notifier.hears(a_survey_invited(ticket=a_ticket(requester=replace(RITA, email=RITAS.upper()))))
    assert not await post.goes_out()

    event = await failed(notifier)
    assert (event.kind, event.reason, event.code) == ("survey_invited", "suppressed", "550 5.1.1")
    email = await notifier.row(Email, kind="survey_invited")
    assert (email.state, email.attempts, email.facts.link) == ("failed", 0, None)
    assert mailbox.tried == [RITAS]
    assert mailbox.connections == 1


async def test_an_address_is_tried_once_however_many_emails_wait_for_it(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """Those behind the first on the same connection are not tried either."""
    mailbox.refuse[RITAS] = "550 5.1.1 unknown"
    await replies(notifier, 4)

    await post.goes_out()
    await post.goes_out()

    assert mailbox.tried == [RITAS]
    assert sorted(event.reason for event in await notifier.said()) == ["bounced", *["suppressed"] * 3]


async def test_what_was_put_off_fails_as_soon_as_its_address_is_known_to_be_bad(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """It does not wait for its next try, which may be an hour away."""
    mailbox.refuse[RITAS] = "450 4.2.1 later"
    await replies(notifier, 1)
    await post.goes_out()
    mailbox.refuse[RITAS] = "550 5.1.1 unknown"
    await notifier.hears(a_survey_invited())
    await post.goes_out()

    assert not await post.goes_out()

    assert [(event.kind, event.reason) for event in await notifier.said()] == [
        ("survey_invited", "bounced"),
        ("reply_published", "suppressed"),
    ]


async def test_suppressed_emails_fail_while_the_mail_server_is_down(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """Nobody needs to be asked."""
    mailbox.refuse[RITAS] = "550 5.1.1 unknown"
    await replies(notifier, 1)
    await post.goes_out()
    await mailbox.close()

    await replies(notifier, 3)
    assert not await post.goes_out()

    assert {email.state for email in await notifier.rows(Email)} == {"failed"}


async def test_an_email_in_hand_is_not_failed_by_a_suppression(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """The try that is under way tells what becomes of it."""
    mailbox.hold = asyncio.Event()
    await replies(notifier, 1)
    going = asyncio.create_task(post.goes_out())
    await until(lambda: mailbox.tried)
    async with notifier.service.sessions.begin() as session:
        session.add(Suppression(account_id="acme", address=RITAS, code="550 5.1.1", suppressed_at=NOON))

    assert not await post.goes_out()
    mailbox.hold.set()
    await going

    assert (await notifier.row(Email)).state == "sent"
    assert await notifier.said() == []


async def test_one_accounts_suppressions_are_not_anothers(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """What happens to one tenant's mail changes nothing for the next."""
    mailbox.refuse[RITAS] = "550 5.1.1 unknown"
    await replies(notifier, 1)
    await post.goes_out()
    mailbox.refuse.clear()

    await notifier.hears(an_account(account_id="bolt"), a_reply_published(account_id="bolt"))
    await post.goes_out()

    assert (await notifier.row(Email, account_id="bolt")).state == "sent"


async def test_no_more_than_one_event_comes_of_an_email(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Two replicas that look at the same moment say it once."""
    await notifier.hears(an_account(), a_survey_invited(expires_at=NOON + timedelta(hours=1)))
    notifier.later(hours=2)

    await asyncio.gather(*(post.goes_out() for _ in range(4)))

    said: list[Event] = await notifier.said()
    assert [type(event) for event in said] == [NotificationFailed]
