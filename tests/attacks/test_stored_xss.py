"""Stored and mutation XSS: what people and publishers write stays text in pages, emails and JSON (S11-S13)."""

import json
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.portal.rich_text import formatted
from services.portal.rich_text import harmless as harmless_html
from services.portal.ticket import Message
from services.surveys.survey import Survey
from shared.contracts import Agent, Requester
from shared.contracts.notification import Kind
from tests.attacks.browser_view import elements, mutated, shapes
from tests.attacks.conftest import invited
from tests.attacks.corpus import HOSTILE, LINKS
from tests.builders import (
    NOON,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_reopened,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.captcha import solved_widget
from tests.notifier.builders import a_brand, a_letter, an_email, html_of, text_of
from tests.portal.conftest import link_of
from tests.reports.told import a_key, a_survey, created, submitted
from tests.stage import Stage

BENIGN = "Nothing but words"
KINDS = get_args(Kind)


def printable(text: str) -> str:
    """The text as an id may be: the contracts refuse what cannot be printed, and more than 128 characters."""
    return "".join(letter for letter in text if letter.isprintable())[:128]


def a_ticket_that_says(text: str, **changes: Any):
    """A ticket in which everything that anybody fills says the same."""
    return a_ticket(
        **{
            "ticket_id": printable(text),
            "version": 2,
            "subject": text,
            "requester": Requester(requester_id=printable(text), name=text, email="rita@customer.example"),
            "assignee": Agent(agent_id=printable(text), name=text, email="ada@desk.example"),
            "channel": text,
            **changes,
        }
    )


OF_LINES = [("details", "class"), ("summary",), ("blockquote",), ("br",)]
"""What pages put round lines that begin with `>`, and at the end of lines."""


def skeleton(html: str) -> list[tuple[str, ...]]:
    """A page's shapes, however many lines its texts have, quoted or not."""
    return [shape for shape in shapes(html) if shape not in OF_LINES]


def harmless(html: str, benign: str, text: str) -> None:
    """Whether a page has the elements and attributes of its template and no other, also when it is read again."""
    assert skeleton(html) == skeleton(benign), text
    assert skeleton(mutated(html)) == skeleton(mutated(benign)), text
    for element in elements(html):
        assert all(address.startswith(("/", "#", "cid:", "https://")) for address in element.addresses), (text, element)


async def portal_pages(portal: Stage, text: str) -> list[str]:
    """Every state of the ticket page, with the text wherever somebody may put one. Each text has its own account."""
    account_id = printable(text)
    ticket = a_ticket_that_says(text, status="resolved")
    author = Agent(agent_id=printable(text), name=text, email="e@x.example")
    await portal.hears(
        an_account(account_id=account_id, name=text),
        a_ticket_created(account_id=account_id, ticket=ticket, description=text),
        a_reply_sent(
            account_id=account_id,
            ticket=ticket,
            author=author,
            body=text,
            reply_id=printable(text),
            sent_at=NOON + timedelta(minutes=1),
        ),
        a_reply_received(
            account_id=account_id,
            ticket=ticket,
            body=text,
            reply_id=printable(text),
            received_at=NOON + timedelta(minutes=2),
        ),
        a_ticket_resolved(
            account_id=account_id, ticket=ticket, resolved_by=author, resolved_at=NOON + timedelta(minutes=3)
        ),
    )
    path = await link_of(portal, printable(text))
    pages = [await portal.client.get(path), await portal.client.post(path, data={"body": text})]
    closed = a_ticket_that_says(text, version=9, status="closed")
    await portal.hears(a_ticket_updated(account_id=account_id, ticket=closed))
    pages.append(await portal.client.post(path, data={"body": text}))
    assert [page.status_code for page in pages] == [200, 422, 409]
    assert len(await portal.rows(Message, account_id=account_id)) == 4
    return [page.text for page in pages]


async def survey_pages(surveys: Stage, text: str) -> list[str]:
    """Every state of the survey page."""
    account_id = printable(text)
    ticket = a_ticket_that_says(text, version=3, status="resolved")
    await surveys.hears(
        an_account(account_id=account_id, name=text), a_ticket_resolved(account_id=account_id, ticket=ticket)
    )
    path = (await surveys.said())[-1].link.removeprefix("https://surveys.example")
    typed = {"score": text, "comment": text}
    pages = [
        await surveys.client.get(path),
        await surveys.client.get(path, params={"score": text}),
        await surveys.client.post(path, data=typed),
    ]
    solved = await solved_widget(surveys.client, f"{path}/challenge")
    taken = await surveys.client.post(path, data={"score": "1", "comment": text, **solved})
    pages += [await surveys.client.get(taken.headers["location"]), await surveys.client.get(path)]
    other = a_ticket_that_says(text, version=4, ticket_id="other", status="resolved")
    await surveys.hears(a_ticket_resolved(account_id=account_id, ticket=other))
    withdrawn = next(event for event in await surveys.said() if hasattr(event, "link")).link
    await surveys.hears(a_ticket_reopened(account_id=account_id, ticket=other))
    pages.append(await surveys.client.get(withdrawn.removeprefix("https://surveys.example")))
    assert [page.status_code for page in pages] == [200, 200, 422, 200, 200, 200]
    assert (await surveys.row(Survey, account_id=account_id, state="submitted")).comment
    return [page.text for page in pages]


async def report_pages(reports: Stage, text: str) -> list[str]:
    """The CSAT tab, of everybody, of one agent, and of days that are none."""
    account_id = printable(text)
    agent = Agent(agent_id=printable(text), name=text, email="a@x.example")
    asked = [
        a_survey(f"{printable(text)[:100]}{number}", subject=text, requester_name=text, agent=agent, channel=text)
        for number in range(6)
    ]
    await reports.hears(
        an_account(account_id=account_id, name=text),
        *(created(survey, account_id=account_id) for survey in asked),
        *(submitted(survey, 1, account_id=account_id, comment=text) for survey in asked),
    )
    key = {"Cookie": f"closeloop_reports={await a_key(reports, account_id)}"}
    pages = [
        await reports.client.get("/csat", headers=key),
        await reports.client.get("/csat", headers=key, params={"agent": printable(text)}),
        await reports.client.get("/csat", headers=key, params={"first": text, "last": text}),
    ]
    assert [page.status_code for page in pages] == [200, 200, 400]
    assert await reports.dead_letters() == []
    return [page.text for page in pages]


PARTS = [HOSTILE[start::8] for start in range(8)]
"""The corpus in handfuls: each text a test would spend most of its time on empty tables."""


@pytest.mark.parametrize("texts", PARTS, ids=range(8))
async def test_ticket_pages_have_no_element_that_is_not_the_templates(portal: Stage, texts: tuple[str, ...]) -> None:
    """Stored XSS through account, subject, names, ids, bodies, descriptions and replies, in every state of the page."""
    benign = await portal_pages(portal, BENIGN)
    for text in texts:
        for html, plain in zip(await portal_pages(portal, text), benign, strict=True):
            harmless(html, plain, text)


@pytest.mark.parametrize("texts", PARTS, ids=range(8))
async def test_survey_pages_have_no_element_that_is_not_the_templates(surveys: Stage, texts: tuple[str, ...]) -> None:
    """Stored and reflected XSS through subject, agent, account, comment and a score in the address."""
    benign = await survey_pages(surveys, BENIGN)
    for text in texts:
        for html, plain in zip(await survey_pages(surveys, text), benign, strict=True):
            harmless(html, plain, text)


@pytest.mark.parametrize("texts", PARTS, ids=range(8))
async def test_report_pages_have_no_element_that_is_not_the_templates(reports: Stage, texts: tuple[str, ...]) -> None:
    """Stored and reflected XSS through comments, names, subjects and filters in the address."""
    benign = await report_pages(reports, BENIGN)
    for text in texts:
        for html, plain in zip(await report_pages(reports, text), benign, strict=True):
            harmless(html, plain, text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", HOSTILE)
def test_emails_have_no_element_that_is_not_the_templates(kind, text: str) -> None:
    """Stored XSS in mail programs, which read HTML in ways of their own: also after the style sheet was put in line."""

    def letter(said: str):
        email = an_email(kind, subject=said, author=said, text=said, ticket_id=printable(said))
        email.recipient_name = said
        return a_letter(email, a_brand(name=said))

    hostile, benign = html_of(letter(text)), html_of(letter(BENIGN))

    def skeleton(html: str) -> list[tuple[str, ...]]:  # a text of several lines has its line breaks
        return shapes(html, leaving_out=("br",))

    assert skeleton(hostile) == skeleton(benign)
    assert skeleton(mutated(hostile)) == skeleton(mutated(benign))
    for element in elements(hostile):
        assert all(address.startswith("https://") for address in element.addresses)
    plain = letter(text).get_body(("plain",))
    assert plain is not None
    assert plain.get_content_type() == "text/plain"
    assert "\x00" not in text_of(letter(text))


async def test_only_web_and_mail_addresses_become_links(portal: Stage) -> None:
    """Link schemes: javascript:, data: and their disguises stay text; what becomes a link leaks no referrer."""
    told = [
        a_reply_received(reply_id=f"e-{number}", body=f"Look: {link} and <{link}> or [x]({link})")
        for number, link in enumerate(LINKS)
    ]
    await portal.hears(an_account(), *told)

    html = (await portal.client.get(await link_of(portal))).text

    anchors = [element for element in elements(html) if element.tag == "a"]
    linked = [anchor for anchor in anchors if not anchor["href"].startswith(("#", "/captcha/"))]
    assert linked
    for element in linked:
        assert element["href"].startswith(("https://", "http://", "mailto:"))
        assert element.shape == ("a", "href", "rel", "target")
        assert element["rel"] == "noopener noreferrer nofollow ugc"
    assert not {"img", "svg"} & {element.tag for element in elements(html) if "onerror" in element.shape}
    assert sum(element.tag == "img" for element in elements(html)) == 1  # the code to read


ALLOWED = {
    *("a", "b", "blockquote", "br", "caption", "code", "del", "div", "em", "h3", "h4", "h5", "h6", "hr", "i", "ins"),
    *("kbd", "li", "ol", "p", "pre", "q", "s", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead"),
    *("tr", "u", "ul"),
}
FRAME = [("html",), ("head",), ("body",)]


def is_harmless(html: str) -> None:
    """Whether cleaned HTML has nothing but words and links out, also when a browser writes and reads it again."""
    for read in (html, mutated(html), mutated(mutated(html))):
        inside = [element for element in elements(read) if element.shape not in FRAME]
        for element in inside:
            assert element.tag in ALLOWED, (html, element)
            names = {name for name, _ in element.attributes}
            assert names <= ({"href", "rel", "target"} if element.tag == "a" else set()), (html, element)
            if element.tag == "a":
                assert element["rel"] == "noopener noreferrer nofollow ugc"
                assert all(address.lower().startswith(("http:", "https:", "mailto:")) for address in element.addresses)
    assert shapes(mutated(html)) == shapes(html), html


@pytest.mark.parametrize("text", HOSTILE)
def test_html_of_agents_is_cleaned(text: str) -> None:
    """Stored and mutation XSS: alone, inside of what is allowed, and cleaned twice."""
    for html in (text, f"<p>{text}</p>", f"<table><tr><td>{text}", f"<a href='{text}'>x</a>", f"<ul><li><b>{text}"):
        cleaned = harmless_html(html)

        is_harmless(cleaned)
        is_harmless(str(formatted(cleaned)))
        assert str(formatted(cleaned)) == cleaned


_MARKS = [
    *HOSTILE,
    "<",
    ">",
    "</",
    "/>",
    "<!--",
    "-->",
    "<p>",
    "</p>",
    "<a href=",
    "'",
    '"',
    "=",
    "<b>",
    "</b>",
    "<i>",
    "x",
]
_MARKS += [
    "<table>",
    "<td>",
    "<svg>",
    "</svg>",
    "<math>",
    "<mtext>",
    "<style>",
    "</style>",
    "<form>",
    "</form>",
    "<select>",
]
_MARKS += [
    "<template>",
    "<noscript>",
    "<title>",
    "<textarea>",
    "<foreignObject>",
    "<desc>",
    "<mglyph>",
    "<br>",
    "\0",
    "&lt;",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_MARKS), max_size=12).map("".join))
def test_html_made_of_hostile_pieces_is_cleaned(html: str) -> None:
    """Mutation XSS that nobody has listed: pieces of the corpus and of markup in any order."""
    cleaned = harmless_html(html)

    is_harmless(cleaned)
    # Not letter by letter: a line feed at the beginning of <pre> is lost.
    assert shapes(str(formatted(cleaned))) == shapes(cleaned)


async def test_a_page_with_html_replies_has_no_element_that_was_not_allowed(portal: Stage) -> None:
    """Stored XSS through an agent's HTML, also where a row was written by somebody who did not clean it."""
    await portal.hears(
        an_account(),
        *(a_reply_sent(reply_id=f"a-{number}", body_html=f"<p>{text}</p>") for number, text in enumerate(HOSTILE)),
    )
    path = await link_of(portal)
    benign = shapes((await portal.client.get(path)).text)
    async with portal.service.sessions.begin() as session:
        for number, text in enumerate(HOSTILE):
            key = ("acme", "T-1", "agent", f"a-{number}")
            (await session.get_one(Message, key)).body_html = f"<p>{text}</p>"

    html = (await portal.client.get(path)).text

    assert shapes(html) == benign
    for element in elements(html):
        assert not [name for name, _ in element.attributes if name.startswith("on") or name in {"style", "srcdoc"}]
        assert element.tag not in {"svg", "math", "iframe", "style", "object", "base", "meta", "comment"} or (
            element.shape in {("meta", "charset"), ("meta", "content", "name")}
        )


async def test_json_is_never_taken_for_a_page(reports: Stage) -> None:
    """XSS through an API: what was written comes back as it was, as JSON that no browser sniffs."""
    await reports.hears(an_account())
    for number, text in enumerate(HOSTILE):
        asked = a_survey(f"s-{number}", subject=text, requester_name=text)
        await reports.hears(created(asked), submitted(asked, 1, comment=text))
    key = {"Authorization": f"Bearer {await a_key(reports)}"}

    answer = await reports.client.get("/api/v1/csat/responses?limit=100", headers=key)

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    told = json.loads(answer.content)["responses"]
    assert {response["comment"] for response in told} == set(HOSTILE)
    assert {response["subject"] for response in told} == set(HOSTILE)


async def test_an_id_in_an_address_is_reflected_nowhere(portal: Stage, surveys: Stage) -> None:
    """Reflected XSS: error pages say nothing of what was asked for."""
    await invited(surveys)
    for stage, path in ((portal, "/t/"), (surveys, "/s/"), (portal, "/captcha/"), (portal, "/brand/"), (portal, "/")):
        answer = await stage.client.get(f"{path}%3Cscript%3Ealert(1)%3C%2Fscript%3E?x=%3Cimg%20src%3Dx%3E")

        assert "alert" not in answer.text
        assert answer.status_code == 404
