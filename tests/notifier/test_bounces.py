"""Reports of mail servers that took an email and could not deliver it, and everything else that arrives with them."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import bounces
from services.notifier.bounces import NotCounted
from services.notifier.emails import LEASE, Email
from services.notifier.tables import Suppression
from shared.contracts import NotificationFailed
from tests.builders import BEN, NOON, a_ticket_reopened, an_account
from tests.notifier.builders import SENDER, a_bounce, a_survey_invited
from tests.notifier.conftest import RITAS, Post, leases_run, replies_to, until
from tests.notifier.mailbox import Mailbox
from tests.stage import Stage

AN_ID = "01950000-0000-7000-8000-000000000001"


async def comes_back(notifier: Stage, raw: bytes) -> str:
    """Take a message as the command does."""
    async with notifier.service.sessions.begin() as session:
        return await bounces.take(raw, session, SENDER, notifier.clock())


async def sent(notifier: Stage, post: Post) -> Email:
    """An invitation that the mail server took."""
    await notifier.hears(an_account(), a_survey_invited())
    await post.goes_out()
    return await notifier.row(Email)


async def test_a_report_of_a_failure_fails_the_email_says_so_and_suppresses_the_address(
    notifier: Stage, post: Post
) -> None:
    """The email was sent, and came back: both can be read from it afterwards."""
    email = await sent(notifier, post)
    notifier.later(hours=5)

    told = await comes_back(notifier, a_bounce(email.id))

    assert told == f"email {email.id} failed: bounced, 550 5.1.1; its address is suppressed"
    email = await notifier.row(Email)
    assert (email.state, email.failed_reason, email.sent_at) == ("failed", "bounced", NOON)
    (event,) = await notifier.said()
    assert isinstance(event, NotificationFailed)
    assert (event.notification_id, event.reason, event.code) == (str(email.id), "bounced", "550 5.1.1")
    assert event.failed_at == notifier.clock.now
    row = await notifier.row(Suppression)
    assert (row.address, row.code) == (RITAS, "550 5.1.1")


async def test_a_report_that_comes_again_changes_nothing(notifier: Stage, post: Post) -> None:
    """Said once, however often it comes; a lifted suppression stays lifted."""
    email = await sent(notifier, post)
    await comes_back(notifier, a_bounce(email.id))
    async with notifier.service.sessions.begin() as session:
        await session.delete(await session.get_one(Suppression, ("acme", RITAS)))

    told = await comes_back(notifier, a_bounce(email.id))

    assert "has failed before (bounced); nothing changed" in told
    assert len(await notifier.said()) == 1
    assert await notifier.count(Suppression) == 0


async def test_reports_that_come_at_the_same_time_are_said_once(notifier: Stage, post: Post) -> None:
    """The second waits for the first, and then finds the email failed."""
    raw = a_bounce((await sent(notifier, post)).id)

    async with notifier.service.sessions.begin() as session:
        await bounces.take(raw, session, SENDER, notifier.clock())
        await session.flush()
        second = asyncio.create_task(comes_back(notifier, raw))
        await asyncio.sleep(0.3)
        assert not second.done()

    assert "has failed before" in await second
    assert len(await notifier.said()) == 1


@pytest.mark.parametrize(
    "form",
    [
        {"returned": "text/rfc822-headers"},
        {"returned": "message/rfc822"},
        {"returned": "message/global-headers"},
        # Exim says 5.0.0 whatever happened, and the codes where the server before it put them.
        {"status": "5.0.0", "diagnostic": "smtp; 550-5.1.1 <rita@customer.example> no\r\n    550 such user"},
        {"diagnostic": "X-Unix; 67"},
        {"diagnostic": None},
        {"recipient": "RFC822;<Rita@CUSTOMER.example>"},
        {"action": "Failed", "status": "5.1.1 (no such user)"},
        {"content_type": 'Multipart/Report; boundary="B"; report-type="Delivery-Status"'},
        {"message_id": "<{id}@DESK.example>"},
    ],
)
async def test_reports_of_all_kinds_of_servers_are_understood(
    notifier: Stage, post: Post, form: dict[str, Any]
) -> None:
    """The Message-ID may be in the whole message or in its headers only; each server writes the fields its own way."""
    email = await sent(notifier, post)
    if "message_id" in form:
        form = {**form, "message_id": form["message_id"].format(id=email.id)}

    await comes_back(notifier, a_bounce(email.id, **form))

    assert (await notifier.row(Email)).failed_reason == "bounced"
    assert (await notifier.row(Suppression)).code in {"5.1.1", "550 5.1.1"}


async def test_an_address_without_ascii_is_recognised_as_it_travels(notifier: Stage, post: Post) -> None:
    """The help desk may know a domain by its letters; mail servers know it by its code."""
    await notifier.hears(an_account(), *replies_to("rita@bücher.example"))
    await post.goes_out()
    email = await notifier.row(Email)

    await comes_back(notifier, a_bounce(email.id, recipient="rfc822; rita@xn--bcher-kva.example"))

    assert (await notifier.row(Email)).state == "failed"
    assert (await notifier.row(Suppression)).address == "rita@bücher.example"


async def test_a_refused_letter_that_comes_back_suppresses_nobody(notifier: Stage, post: Post) -> None:
    """The same rule as for a refusal at once."""
    email = await sent(notifier, post)

    told = await comes_back(notifier, a_bounce(email.id, status="5.7.1", diagnostic="smtp; 554 5.7.1 spam"))

    assert told == f"email {email.id} failed: bounced, 554 5.7.1"
    assert await notifier.count(Suppression) == 0
    assert len(await notifier.said()) == 1


@pytest.mark.parametrize(
    ("diagnostic", "code"),
    [("X-Postfix; connection timed out", "4.4.7"), ("smtp; 550 5.1.1 unknown, at the last try", "550 5.1.1")],
)
async def test_a_server_that_gave_up_for_the_time_being_has_given_up(
    notifier: Stage, post: Post, diagnostic: str, code: str
) -> None:
    """`failed` with a 4.x.x means that no more tries will be made; it says nothing against the address."""
    email = await sent(notifier, post)

    told = await comes_back(notifier, a_bounce(email.id, status="4.4.7", diagnostic=diagnostic))

    (event,) = await notifier.said()
    assert (event.reason, event.code) == ("gave_up", code)
    assert "suppressed" not in told
    assert await notifier.count(Suppression) == 0


async def test_a_report_about_an_email_that_was_never_tried_does_not_count(notifier: Stage) -> None:
    """No mail server knows it; whoever does has read our database."""
    await notifier.hears(an_account(), a_survey_invited())

    with pytest.raises(NotCounted, match="no email of ours"):
        await comes_back(notifier, a_bounce((await notifier.row(Email)).id))


async def test_a_report_about_an_email_whose_try_was_never_settled_settles_it(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """The server took it, or it could not report; a notifier that died meanwhile does not send it again."""
    await notifier.hears(an_account(), a_survey_invited())
    async with notifier.service.sessions.begin() as session:
        email = await session.get_one(Email, (await notifier.row(Email)).id)
        email.lease()  # and here the process dies

    await comes_back(notifier, a_bounce(email.id))
    await leases_run(notifier, LEASE)
    assert not await post.goes_out()

    assert mailbox.letters == []
    assert (await notifier.row(Email)).failed_reason == "bounced"


async def test_a_report_that_is_faster_than_our_commit_stays(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """The dispatcher finds the email settled and leaves it so."""
    mailbox.hold = asyncio.Event()
    await notifier.hears(an_account(), a_survey_invited())
    going = asyncio.create_task(post.goes_out())
    await until(lambda: mailbox.tried)

    await comes_back(notifier, a_bounce((await notifier.row(Email)).id))
    mailbox.hold.set()
    await going

    assert (await notifier.row(Email)).state == "failed"
    assert len(await notifier.said()) == 1


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"action": "delayed", "status": "4.4.1"}, "it tells of no failure for good"),
        ({"action": "delivered", "status": "2.1.5"}, "it tells of no failure for good"),
        ({"action": "relayed", "status": "2.0.0"}, "it tells of no failure for good"),
        ({"action": "", "status": "5.1.1"}, "it tells of no failure for good"),
        ({"action": "failed", "status": "unknown"}, "it tells of no failure for good"),
        ({"action": "failed", "status": "2.0.0"}, "it tells of no failure for good"),
        ({"recipient": "x400; /G=Rita/"}, "it tells of no failure for good"),
        ({"recipient": "rfc822; somebody@else.example"}, "it is not about the recipient of email"),
        ({"recipient": "rfc822; rita@customer.example.evil.example"}, "it is not about the recipient of email"),
        ({"message_id": "<01950000-0000-7000-8000-00000000ffff@desk.example>"}, "it is about no email of ours"),
        ({"message_id": "<{id}@other.example>"}, "it is about no email of ours"),
        ({"message_id": "<{id}>"}, "it is about no email of ours"),
        ({"message_id": "<CAF=abc@mail.example>"}, "it is about no email of ours"),
        ({"message_id": ""}, "it does not say which message it is about"),
        ({"returned": None}, "it does not say which message it is about"),
        ({"content_type": 'multipart/mixed; boundary="B"'}, "it is no delivery status notification"),
        ({"report_part": "message/disposition-notification"}, "it is no delivery status notification"),
    ],
)
async def test_what_does_not_count_changes_nothing_and_says_why(
    notifier: Stage, post: Post, form: dict[str, Any], why: str
) -> None:
    """Delays, receipts, forgeries and other people's reports."""
    email = await sent(notifier, post)
    if "message_id" in form:
        form = {**form, "message_id": form["message_id"].format(id=email.id)}

    with pytest.raises(NotCounted, match=why):
        await comes_back(notifier, a_bounce(email.id, **form))

    assert (await notifier.row(Email)).state == "sent"
    assert await notifier.said() == []
    assert await notifier.count(Suppression) == 0


async def test_one_dead_mailbox_behind_an_address_that_is_passed_on_is_not_a_dead_address(
    notifier: Stage, post: Post
) -> None:
    """A list hands the email to five people; the report about one of them names the list as original recipient only."""
    email = await sent(notifier, post)
    raw = a_bounce(email.id, recipient="rfc822; left@customer.example").replace(
        b"Action:", b"Original-Recipient: rfc822;rita@customer.example\r\nAction:"
    )

    with pytest.raises(NotCounted, match="not about the recipient"):
        await comes_back(notifier, raw)


async def test_one_of_several_people_fails_alone(notifier: Stage, post: Post) -> None:
    """Assignee and watcher were told of the same reopening; each email is its own."""
    await notifier.hears(an_account(), a_ticket_reopened())
    await post.goes_out()
    bens = await notifier.row(Email, recipient=BEN.email)

    await comes_back(notifier, a_bounce(bens.id, recipient=f"rfc822; {BEN.email}"))

    assert {email.recipient: email.state for email in await notifier.rows(Email)} == {
        "ada@desk.example": "sent",
        "ben@desk.example": "failed",
    }


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\xff\xfe garbage",
        b"Subject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away until Monday.",
        b"Subject: Re: Tent pole broke\r\n\r\nThank you, it is fine now!",
        b"Content-Type: multipart/report; report-type=delivery-status\r\n\r\nno boundary, no parts",
        b"Content-Type: multipart/report; boundary=B\r\n\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n--B--",
        b"x" * (bounces.LONGEST + 1),
    ],
)
def test_mail_of_another_kind_is_told_apart(raw: bytes) -> None:
    """Answers, notes of absence and noise arrive at the same address."""
    with pytest.raises(NotCounted):
        bounces.read(raw)


def test_a_bomb_of_parts_within_parts_is_not_counted() -> None:
    """The standard library's parser gives up on it, and so do we, in words."""
    raw = b"".join(b"Content-Type: multipart/report; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(2000))

    with pytest.raises(NotCounted):
        bounces.read(raw)


@given(
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 40), st.binary(max_size=20)), min_size=1, max_size=6)
)
def test_whatever_arrives_is_read_or_not_counted(cuts: list[tuple[int, int, bytes]]) -> None:
    """No bytes make the command fail: it would be given them again and again."""
    raw = a_bounce(AN_ID)
    for place, length, instead in cuts:
        raw = raw[:place] + instead + raw[place + length :]

    with suppress(NotCounted):
        bounces.read(raw)
