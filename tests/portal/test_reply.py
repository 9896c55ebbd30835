"""Sending a reply, and everything that can stand in its way."""

import asyncio

import pytest

from services.portal import app
from services.portal.settings import Settings
from services.portal.tables import SpentChallenge
from services.portal.ticket import Message, Ticket
from shared.contracts import ReplyReceived, TicketReopened
from tests.builders import NOON, a_ticket, a_ticket_resolved, a_ticket_updated
from tests.captcha import read_code, solved_widget
from tests.portal.conftest import KEY, mailed, reply
from tests.stage import Stage, StoppedClock

URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


async def nothing_happened(portal: Stage) -> bool:
    """Whether there is nothing but the agent's reply."""
    return await portal.count(Message) == 1 and await portal.said() == []


@pytest.mark.parametrize("status", ["pending", "resolved"])
async def test_a_reply_reopens_a_ticket_that_is_pending_or_resolved(portal: Stage, status: str) -> None:
    """The page says so, the conversation says from what, and the help desk, assignee and watchers are told."""
    path = await mailed(portal, version=4, status=status)
    now = portal.later(minutes=5)

    answer = await reply(portal, path, "It broke again.\r\nSame place. \n")

    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?sent=yes#sent")
    page = (await portal.client.get(answer.headers["location"])).text
    assert "Your reply was sent and the ticket is open again." in page
    assert f"it was <bdi>{status.capitalize()}</bdi>" in page
    assert '<span class="sr-only">Status: </span>Open' in page
    received, reopened = await portal.said()
    assert isinstance(received, ReplyReceived)
    assert isinstance(reopened, TicketReopened)
    assert (received.body, received.received_at, received.via) == ("It broke again.\nSame place.", now, "portal")
    assert received.reopened
    assert (reopened.previous_status, reopened.reopened_at) == (status, now)
    assert received.ticket == reopened.ticket == a_ticket(version=4, status="open")


async def test_a_reply_to_an_open_ticket_reopens_nothing(portal: Stage) -> None:
    """There is one event and one message."""
    path = await mailed(portal)

    answer = await reply(portal, path)

    page = (await portal.client.get(answer.headers["location"])).text
    assert "Your reply was sent." in page
    (received,) = await portal.said()
    assert isinstance(received, ReplyReceived)
    assert not received.reopened
    assert [message.kind for message in await portal.rows(Message, kind="system")] == []


async def test_the_help_desks_answer_to_a_reopening_wins_and_older_news_does_not(portal: Stage) -> None:
    """A late event does not undo what the requester did."""
    path = await mailed(portal, version=4, status="resolved")
    await reply(portal, path)

    await portal.hears(a_ticket_resolved(ticket=a_ticket(version=4, status="resolved")))
    assert (await portal.row(Ticket)).status == "open"
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=5, status="pending")))
    assert (await portal.row(Ticket)).status == "pending"


async def test_a_closed_ticket_refuses_a_reply_and_gives_its_text_back(portal: Stage) -> None:
    """The ticket may be closed while somebody writes: the text stays on the page, to be copied."""
    path = await mailed(portal)
    solved = await solved_widget(portal.client, f"{path}/challenge")
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=9, status="closed")))

    refused = await portal.client.post(path, data={"body": "My <long> letter", **solved})

    assert refused.status_code == 409
    assert "My &lt;long&gt; letter" in refused.text
    assert "was not sent" in refused.text
    assert "<form" not in refused.text
    assert await nothing_happened(portal)


async def test_a_reply_sent_again_after_the_ticket_was_closed_is_not_called_unsent(portal: Stage) -> None:
    """Its first answer may have got lost on the way: the reply is there, once, and nobody is to send it anew."""
    path = await mailed(portal)
    form = {"body": "Thank you!", **await solved_widget(portal.client, f"{path}/challenge")}
    await portal.client.post(path, data=form)
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=9, status="closed")))

    again = await portal.client.post(path, data=form)
    another = await portal.client.post(path, data={**form, "body": "One more thing"})

    assert (again.status_code, again.headers["location"]) == (303, f"{path}?sent=yes#sent")
    assert another.status_code == 409
    assert len(await portal.said()) == 1


@pytest.mark.parametrize("body", ["", "   ", "\r\n\t", "\0", "\u2003\n"])
async def test_an_empty_reply_is_refused(portal: Stage, body: str) -> None:
    """White space is no reply. The captcha is not spent on a form that has to be sent again."""
    path = await mailed(portal, status="resolved")

    refused = await reply(portal, path, body)

    assert refused.status_code == 422
    assert '<a href="#body">Please write your reply.</a>' in refused.text
    assert 'aria-invalid="true"' in refused.text
    assert await portal.count(SpentChallenge) == 0
    assert await nothing_happened(portal)


async def test_a_form_without_its_fields_is_refused(portal: Stage) -> None:
    """Nothing is a kind of empty."""
    path = await mailed(portal)

    refused = await portal.client.post(path)
    bodyless = await portal.client.post(path, data={"something": "else"})

    assert refused.status_code == bodyless.status_code == 422
    assert "Please write your reply." in refused.text


async def test_a_reply_may_have_20000_characters_and_not_one_more(portal: Stage) -> None:
    """Characters are counted, not bytes; what is too long stays on the page to be shortened."""
    path = await mailed(portal)

    refused = await reply(portal, path, "ü" * 20_001)
    taken = await reply(portal, path, "😀" * 20_000)

    assert refused.status_code == 422
    assert "Your reply is 1 character too long." in refused.text
    assert "ü" * 20_001 in refused.text
    assert taken.status_code == 303
    (received,) = await portal.said()
    assert received.body == "😀" * 20_000


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "show that you are a person"),
        ({"altcha": "e30="}, "did not work"),
        ({"altcha": "not base64"}, "did not work"),
        ({"captcha_challenge": "a.b.c", "captcha_code": "123456"}, "did not work"),
        ({"captcha_challenge": "", "captcha_code": "123456"}, "show that you are a person"),
    ],
)
async def test_without_a_solved_captcha_nothing_is_stored_and_nothing_typed_is_lost(
    portal: Stage, fields: dict, told: str
) -> None:
    """Missing and made-up solutions are refused, with a fresh challenge."""
    path = await mailed(portal, status="resolved")

    refused = await portal.client.post(path, data={"body": "kept text", **fields})

    assert refused.status_code == 422
    assert told in refused.text
    assert '<a href="#captcha">' in refused.text
    assert ">kept text</textarea>" in refused.text
    assert 'name="captcha_challenge"' in refused.text
    assert (await portal.row(Ticket)).status == "resolved"
    assert await nothing_happened(portal)


async def test_the_code_from_the_picture_is_as_good_as_the_widget(portal: Stage) -> None:
    """Without scripts people read or hear six digits."""
    path = await mailed(portal)
    code = read_code((await portal.client.get(path)).text, KEY)
    picture = await portal.client.get(f"/captcha/{code['captcha_challenge']}/image.png")

    answer = await portal.client.post(path, data={"body": "Hello", **code})

    assert picture.content.startswith(b"\x89PNG")
    assert answer.status_code == 303
    assert len(await portal.said()) == 1


async def test_a_wrong_code_costs_its_challenge_and_nothing_that_was_typed(portal: Stage) -> None:
    """One try for each picture, so codes cannot be guessed in a row."""
    path = await mailed(portal)
    code = read_code((await portal.client.get(path)).text, KEY)
    wrong = {**code, "captcha_code": "000000" if code["captcha_code"] != "000000" else "111111"}

    refused = await portal.client.post(path, data={"body": "kept text", **wrong})
    again = await portal.client.post(path, data={"body": "kept text", **code})
    fresh = await portal.client.post(path, data={"body": "kept text", **read_code(again.text, KEY)})

    assert (refused.status_code, again.status_code, fresh.status_code) == (422, 422, 303)
    assert "kept text" in refused.text
    assert code["captcha_challenge"] not in refused.text
    assert len(await portal.said()) == 1


async def test_a_captcha_is_good_for_one_reply(portal: Stage) -> None:
    """The same solution with another text is refused."""
    path = await mailed(portal)
    solved = await solved_widget(portal.client, f"{path}/challenge")

    taken = await portal.client.post(path, data={"body": "first", **solved})
    refused = await portal.client.post(path, data={"body": "second", **solved})

    assert (taken.status_code, refused.status_code) == (303, 422)
    assert "was used before" in refused.text
    assert [event.body for event in await portal.said()] == ["first"]


async def test_a_captcha_solved_for_one_ticket_opens_no_other(portal: Stage) -> None:
    """A challenge is bound to its form."""
    first = await mailed(portal)
    second = await mailed(portal, ticket_id="T-2")
    solved = await solved_widget(portal.client, f"{first}/challenge")
    code = read_code((await portal.client.get(first)).text, KEY)

    answers = [await portal.client.post(second, data={"body": "x", **fields}) for fields in (solved, code)]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert await portal.said() == []


async def test_a_captcha_runs_out_after_two_hours(portal: Stage) -> None:
    """An old solution is refused; text and a fresh challenge are on the page."""
    path = await mailed(portal)
    solved = await solved_widget(portal.client, f"{path}/challenge")
    code = read_code((await portal.client.get(path)).text, KEY)
    portal.later(hours=3)

    answers = [await portal.client.post(path, data={"body": "kept text", **fields}) for fields in (solved, code)]

    for refused in answers:
        assert refused.status_code == 422
        assert "has run out" in refused.text
        assert "kept text" in refused.text


async def test_different_replies_at_the_same_moment_reopen_once(portal: Stage) -> None:
    """Each is stored; the ticket goes from resolved to open one time."""
    path = await mailed(portal, status="resolved")
    forms = [{"body": f"reply {number}", **read_code((await portal.client.get(path)).text, KEY)} for number in range(8)]

    await asyncio.gather(*(portal.client.post(path, data=form) for form in forms))

    said = [type(event) for event in await portal.said()]
    assert (said.count(ReplyReceived), said.count(TicketReopened)) == (8, 1)
    assert len(await portal.rows(Message, kind="system")) == 1


async def test_forms_that_no_browser_of_ours_sends_are_refused_kindly(portal: Stage) -> None:
    """A field twice, a file, a body that is no form, one that is too big."""
    path = await mailed(portal)

    twice = await portal.client.post(path, content="body=a&body=b", headers=URLENCODED)
    file = await portal.client.post(path, files={"body": ("x.txt", b"hello")})
    broken = await portal.client.post(
        path, content=b"\xff\xfe", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    huge = await portal.client.post(path, content=b"body=" + b"a" * 600_000, headers=URLENCODED)
    other = await portal.client.post(path, json={"body": "hello"})

    assert [answer.status_code for answer in (twice, file, broken, huge, other)] == [400, 400, 400, 413, 422]
    assert "That did not arrive in one piece" in twice.text
    assert "too much at once" in huge.text
    assert await nothing_happened(portal)


async def test_without_its_database_the_portal_says_that_it_will_be_back(portal: Stage) -> None:
    """A kind 503 with a time to try again, and the next request finds a service that still runs."""
    settings = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/nowhere",
        kafka_bootstrap_servers="127.0.0.1:1",
        public_url="https://portal.example",
        secret_key=KEY,
    )
    service = app.create_service(settings, StoppedClock(NOON))
    nowhere = Stage(service, app.create_app(service), StoppedClock(NOON))

    answers = [
        await nowhere.client.get("/t/anything"),
        await nowhere.client.post("/t/anything", data={"body": "Hello"}),
        await nowhere.client.get("/t/anything/challenge"),
    ]
    await nowhere.close()

    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "30"
        assert "We will be right back" in answer.text
        assert "nowhere" not in answer.text
