"""The ticket page, as requesters meet it."""

import re

import pytest

from services.portal.ticket import Message
from shared.contracts import Logo
from tests.attacks.pictures import a_picture
from tests.builders import (
    BEN,
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
from tests.portal.conftest import link_of, mailed, reply
from tests.stage import Stage


async def shown(portal: Stage, path: str) -> str:
    """The page's HTML."""
    answer = await portal.client.get(path)
    assert answer.status_code == 200
    return answer.text


async def test_the_page_shows_the_ticket_and_whose_it_is(portal: Stage) -> None:
    """Subject, status and priority in words, the account's name and colour."""
    path = await mailed(portal, priority="urgent", status="pending")

    page = await shown(portal, path)

    assert '<h1 dir="auto">Tent pole broke</h1>' in page
    assert '<span class="sr-only">Status: </span>Pending' in page
    assert "Urgent priority" in page
    assert "Acme Outdoor" in page
    assert "/brand/0b6e4f/colours.css" in page
    assert (await portal.client.get("/brand/0b6e4f/colours.css")).text == ":root{--brand:#0b6e4f;--on-brand:#ffffff}\n"


async def test_the_accounts_logo_is_shown_and_its_initial_where_it_has_none(portal: Stage) -> None:
    """Nothing is loaded from elsewhere."""
    path = await mailed(portal)
    assert '<span class="logo initial" aria-hidden="true">A</span>' in await shown(portal, path)

    await portal.hears(an_account(version=2, logo=Logo(media_type="image/png", data=a_picture())))

    page = await shown(portal, path)
    address = re.search(r'<img class="logo" src="([^"]+)"', page)
    assert address
    logo = await portal.client.get(address[1])
    assert logo.headers["content-type"] == "image/png"
    assert logo.content.startswith(b"\x89PNG")
    assert "https://" not in re.sub(r"<article.*</article>", "", page, flags=re.DOTALL)


async def test_messages_come_in_order_with_who_wrote_when(portal: Stage) -> None:
    """Oldest first, in the account's time zone, agents and requester told apart in words and looks."""
    await portal.hears(
        an_account(time_zone="Asia/Tokyo"),
        a_reply_sent(sent_at=NOON.replace(hour=15), author=BEN),
        a_reply_received(received_at=NOON.replace(hour=16), body="Third"),
        a_ticket_created(description="First"),
    )

    page = await shown(portal, await link_of(portal))

    articles = re.findall(r'<article class="([^"]+)" id="([^"]+)">(.*?)</article>', page, re.DOTALL)
    assert [(looks, name) for looks, name, _ in articles] == [
        ("message requester", "requester-description"),
        ("message agent", "agent-a-1"),
        ("message requester", "requester-e-1"),
    ]
    first, second, third = (content for _, _, content in articles)
    assert "Rita Gómez" in first
    assert ">You<" in first
    assert "2 March 2026, 21:00" in first
    assert "Ben Suzuki" in second
    assert ">Support<" in second
    assert "3 March 2026, 00:00" in second
    assert 'datetime="2026-03-02T15:00:00+00:00"' in second
    assert "Third" in third


async def test_what_happened_stands_between_the_messages(portal: Stage) -> None:
    """Resolutions and reopenings are lines of the conversation, by whom and from what."""
    path = await mailed(portal)
    await portal.hears(a_ticket_resolved())
    portal.later(hours=1)
    await reply(portal, path)
    await portal.hears(a_ticket_resolved(ticket=a_ticket(version=6, status="resolved"), resolved_by=None))

    page = await shown(portal, path)

    text = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "Ada Okafor resolved this ticket" in text
    assert "Rita Gómez’s reply reopened this ticket; it was Resolved" in text
    assert "This ticket was resolved" in text


async def test_texts_keep_their_lines_and_their_links_work(portal: Stage) -> None:
    """Addresses become links that tell nobody where they stood; each text has its own direction."""
    await portal.hears(an_account(), a_ticket_created(description="One\n\n  two https://ok.example/a?b=1&c=2."))

    page = await shown(portal, await link_of(portal))

    assert (
        'dir="auto">One<br><br>  two <a href="https://ok.example/a?b=1&amp;c=2" rel="noopener noreferrer nofollow ugc"'
        in page
    )


async def test_an_empty_conversation_says_so(portal: Stage) -> None:
    """A ticket may have no messages, subject or names."""
    await portal.hears(
        an_account(),
        a_ticket_updated(ticket=a_ticket(subject="", requester=type(RITA)(requester_id="r", name=""))),
        a_reply_received(ticket=a_ticket(ticket_id="T-2", requester=type(RITA)(requester_id="r", name="")), body=""),
    )

    empty = await shown(portal, await link_of(portal))
    nameless = await shown(portal, await link_of(portal, "T-2"))

    assert "There are no messages yet" in empty
    assert "(no subject)" in empty
    assert "<textarea" in empty
    assert "Somebody" in nameless
    assert "No text" in nameless


async def test_long_conversations_are_shown_whole_and_lead_to_their_end(portal: Stage) -> None:
    """Hundreds of messages are one page, with a way to the newest."""
    await portal.hears(an_account(), *(a_reply_sent(reply_id=f"a-{number}") for number in range(300)))

    page = await shown(portal, await link_of(portal))

    assert page.count("<article") == 300
    assert 'href="#reply"' in page


async def test_a_closed_ticket_shows_that_it_takes_no_replies(portal: Stage) -> None:
    """The conversation can still be read."""
    path = await mailed(portal, status="closed")

    page = await shown(portal, path)

    assert "This ticket is closed" in page
    assert "<form" not in page
    assert "A new pole is on its way." in page


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\"'><img src=x onerror=alert(1)>",
        "</textarea><svg onload=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "javascript:alert(1) data:text/html,<b>x</b>",
        'https://x.example/"onmouseover="alert(1)',
        "</title><base href=//evil.example>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
async def test_what_people_wrote_is_shown_as_text(portal: Stage, text: str) -> None:
    """Markup in a subject, a name, an account or a message stays text, wherever it is shown."""
    requester = type(RITA)(requester_id="rita", name=text, email="r@x.example")
    ticket = a_ticket(version=3, subject=text, requester=requester, status="resolved")
    evil = type(BEN)(agent_id="evil", name=text, email="e@x.example")
    await portal.hears(
        an_account(name=text),
        a_ticket_created(ticket=ticket, description=text),
        a_reply_sent(ticket=ticket, author=evil, body=text, reply_id=text),
        a_ticket_resolved(ticket=ticket, resolved_by=evil),
    )
    path = await link_of(portal)

    refused = await portal.client.post(path, data={"body": text})
    await reply(portal, path, text)
    page = await shown(portal, path)

    assert len(await portal.rows(Message)) == 5
    for html in (refused.text, page):
        tags = re.findall(r"<[^>]*>", html)
        assert not [tag for tag in tags if re.match(r"<(img src=x|svg|base|b>)", tag)]
        assert not [tag for tag in tags if re.search(r"""["'\s]on\w+\s*=""", tag)]
        assert not [tag for tag in tags if re.search(r"""(href|src|action)=["']?(javascript|data):""", tag)]
        assert "<script>" not in html
