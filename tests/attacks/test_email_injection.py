"""Header and recipient injection into emails, and emails that answer each other (S14, S15, S24, S35)."""

from email import message_from_bytes, policy
from typing import get_args

import pytest

from services.notifier.emails import Email
from services.notifier.letters import NotAnAddress
from services.portal.ticket import Message
from shared.contracts import Agent, Requester
from shared.contracts.notification import Kind
from tests.builders import (
    RITA,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_reopened,
    a_ticket_updated,
    an_account,
)
from tests.notifier.builders import a_brand, a_letter, a_reply_published, a_survey_invited, an_email
from tests.notifier.conftest import Post
from tests.portal.conftest import mailed, reply
from tests.stage import Stage

KINDS = get_args(Kind)
BREAKS = {
    "CR LF": "\r\n",
    "LF": "\n",
    "CR": "\r",
    "NUL": "\0",
    "vertical tab": "\x0b",
    "form feed": "\x0c",
    "file separator": "\x1c",
    "record separator": "\x1e",
    "next line": "\x85",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "encoded word": "=?utf-8?q?=0D=0A?=",
    "encoded word in base 64": "=?utf-8?b?DQo=?=",
    "encoded word of another alphabet": "=?utf-16be?b?AA0ACg==?=",
    "encoded word in an encoded word": "=?utf-8?q?=3D=3Futf-8=3Fq=3F=0D=0A=3F=3D?=",
    "encoded word split by what is dropped": "=\u202e?utf-8?q?=0D=0A?\u202e=",
    "percent": "%0d%0a",
    "folded": "\r\n ",
    "full-width": "\uff0d\uff0a",
    "raw bytes of CR LF in wider letters": "\u560d\u560a",
}
OURS = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "auto-submitted",
    "x-auto-response-suppress",
    "mime-version",
    "content-type",
    "content-language",
    "list-unsubscribe",
    "list-unsubscribe-post",
}
LURES = (
    "x, evil@x.example " + "a" * 36 + " " + "b" * 27,
    "evil@x.example, " + "word " * 12 + "x",
    "evil@x.example " + "word " * 12 + '"',
    "a: evil@x.example; " + "word " * 15,
    "evil@x.example, Ü " + "word " * 12,
    'x", evil@x.example, "y',
    "evil@x.example, rita",
    "<evil@x.example>",
    "a@x.example;b@x.example",
    "Rita <evil@x.example> (",
    "evil@x.example\u0000",
    "group: evil@x.example;",
    "=?utf-8?q?=3Cevil=40x=2Eexample=3E?=",
    "=?utf-8?q?evil=40x=2Eexample=2C?=",
    "=?utf-8?b?ZXZpbEB4LmV4YW1wbGUs?=",
    "=\u202e?utf-8?q?evil=40x=2Eexample=2C?\u202e=",
    '\\", <evil@x.example>, \\"',
    "evil@x.example\u202e",
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line_break", BREAKS.values(), ids=BREAKS)
def test_no_field_begins_a_header_or_a_body(kind, line_break: str) -> None:
    """Header injection through subject, names, account, ticket id and thread: the headers are ours and no others."""
    hostile = f"x{line_break}Bcc: everyone@x.example{line_break}{line_break}Injected body"
    email = an_email(kind, subject=hostile, author=hostile, text=hostile, ticket_id=hostile)
    email.recipient_name = email.thread = hostile

    raw = a_letter(email, a_brand(name=hostile)).as_bytes()
    letter = message_from_bytes(raw, policy=policy.default)

    assert {name.lower() for name in letter} <= OURS
    assert [name.lower() for name in letter].count("subject") == 1
    assert [address.addr_spec for address in letter["To"].addresses] == ["rita@customer.example"]
    assert b"\nInjected body" not in raw.partition(b"\r\n\r\n")[0]
    assert raw.isascii()


@pytest.mark.parametrize("lure", LURES)
def test_a_name_adds_no_recipient(lure: str) -> None:
    """Recipient injection through display names, of the requester and of the account."""
    email = an_email()
    email.recipient_name = lure
    letter = message_from_bytes(a_letter(email, a_brand(name=lure)).as_bytes(), policy=policy.default)

    assert [address.addr_spec for address in letter["To"].addresses] == ["rita@customer.example"]
    assert [address.addr_spec for address in letter["From"].addresses] == ["support@desk.example"]


@pytest.mark.parametrize(
    "address",
    [
        "a@x.example, b@x.example",
        "a@x.example;b@x.example",
        "a@x.example b@x.example",
        "a@x.example\r\nRCPT TO:<b@x.example>",
        "a@x.example>\r\nDATA",
        "a@x.example\0",
        "<a@x.example>",
        "Rita <a@x.example>",
        "a@x.example\u2028b@x.example",
        "a@b@x.example",
        '"a@x.example"',
        "a@[127.0.0.1]\n",
        "",
        "@",
        "|/bin/sh@x.example\n",
        "=?utf-8?q?a=40x=2Eexample=2C?=@x.example",
        "rita@=?utf-8?q?evil=2Eexample?=",
        f"{'a' * 1000}@x.example",
        "a@" + "x." * 500 + "example",
    ],
)
def test_an_address_is_one_mailbox_or_nothing(address: str) -> None:
    """SMTP and recipient injection through the address itself."""
    try:
        letter = a_letter(an_email(to=address))
    except NotAnAddress:
        return
    sent = message_from_bytes(letter.as_bytes(), policy=policy.default)
    assert len(sent["To"].addresses) == 1
    assert set(str(letter["To"].addresses[0].addr_spec)).isdisjoint("\r\n\0,;<> ")


async def test_what_goes_over_the_wire_has_one_recipient(notifier: Stage, post: Post) -> None:
    """SMTP injection, end to end: the mail server hears one RCPT for each email, whatever names and subjects say."""
    lure = 'x"=?utf-8?q?=0D=0ABcc:_evil=40x=2Eexample?=\r\nRCPT TO:<evil@x.example>\r\nDATA\r\n.\r\n'
    requester = Requester(requester_id="r", name=lure, email="rita@customer.example")
    ticket = a_ticket(version=2, subject=lure, requester=requester)
    await notifier.hears(
        an_account(name=lure), a_reply_published(ticket=ticket, author_name=lure, body=f"{lure}\r\n.\r\nQUIT\r\n")
    )

    await post.goes_out()

    (delivered,) = post.mailbox.letters
    assert post.mailbox.tried == ["rita@customer.example"]
    assert [address.addr_spec for address in delivered["To"].addresses] == ["rita@customer.example"]
    assert delivered["Bcc"] is None
    assert (await notifier.row(Email)).state == "sent"


async def test_one_event_is_one_email_for_each_address_however_often_it_is_named(notifier: Stage) -> None:
    """Email bombs: an agent who is assignee and watcher, in any spelling, and a repeat under any id get one email."""
    ada = Agent(agent_id="ada", name="Ada", email="ada@desk.example")
    spellings = ("ADA@desk.example", " ada@desk.example ")
    again = [Agent(agent_id=f"a-{number}", name="Ada", email=text) for number, text in enumerate(spellings)]
    ticket = a_ticket(version=3, assignee=ada, watchers=(ada, *again))
    await notifier.hears(an_account(), *(a_ticket_reopened(ticket=ticket) for _ in range(10)))

    assert await notifier.count(Email) == 1


async def test_an_agents_reply_that_comes_back_as_the_requesters_ends_there(portal: Stage) -> None:
    """Mail loops: what the portal says in answer to what it hears is never what makes it speak again."""
    await mailed(portal)
    await portal.hears(a_reply_received(body="I am out of office", reply_id="auto-1"))
    await portal.hears(a_reply_received(body="I am out of office", reply_id="auto-2"))

    assert await portal.said() == []


async def test_a_reply_of_ours_that_the_desk_repeats_is_heard_once(portal: Stage, notifier: Stage) -> None:
    """Mail loops: the portal's own reply.received comes back, to the notifier twice; one message, one email."""
    path = await mailed(portal)
    await reply(portal, path, "Thank you")
    (received,) = await portal.said()

    await portal.hears(received, received)
    await notifier.hears(an_account(), received, received)

    assert await portal.said() == []
    assert len(await portal.rows(Message, kind="requester")) == 1
    assert await notifier.count(Email) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_email_asks_machines_not_to_answer(kind) -> None:
    """Mail loops: Auto-Submitted (RFC 3834) and what Exchange reads; an out-of-office note answers none of ours."""
    letter = a_letter(an_email(kind))

    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["X-Auto-Response-Suppress"] == "All"


async def test_nobody_is_mailed_for_what_they_did_not_ask_us(portal: Stage, notifier: Stage) -> None:
    """Email bombs by forged tickets: a new ticket, its description and its changes mail nobody by themselves."""
    victim = Requester(requester_id="v", name="Buy now at evil.example", email="victim@x.example")
    ticket = a_ticket(requester=victim, subject="Buy now at evil.example")
    await portal.hears(an_account(), a_ticket_created(ticket=ticket, description="Buy now"))
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=2, requester=victim)))

    assert await portal.said() == []
    await portal.hears(a_reply_sent(ticket=a_ticket(version=3, requester=victim)))
    assert [type(event).__name__ for event in await portal.said()] == ["ReplyPublished"]


def test_a_survey_letter_is_no_place_for_a_strangers_words() -> None:
    """Email bombs: of what others wrote a survey's letter holds the subject and the account's name, cut to a line."""
    letter = a_letter(an_email("survey_invited", subject="Buy\nnow " * 100, text="Buy now", author="Buy now"))

    assert len(str(letter["Subject"])) <= 150
    assert "\n" not in str(letter["Subject"])
    assert a_survey_invited().ticket.requester == RITA
