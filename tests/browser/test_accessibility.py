"""WCAG 2.2 AA, as far as a machine can tell: every page in every state, light and dark, both directions, any colour."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from services.reports.dashboard import COOKIE
from services.surveys.survey import Survey
from shared.contracts import Agent, ReasonGiven
from tests.attacks.conftest import invited
from tests.attacks.server import serving
from tests.builders import ADA, NOON, a_reply_sent, a_ticket, a_ticket_resolved, a_ticket_updated, an_account
from tests.captcha import solved_widget
from tests.portal.conftest import mailed, portal, portal_stage
from tests.portal.files import an_attachment, put
from tests.reports.conftest import reports, reports_stage
from tests.reports.told import a_key, a_survey, answered, expired, submitted
from tests.stage import Stage
from tests.surveys.conftest import surveys, surveys_stage

__all__ = ["portal", "portal_stage", "reports", "reports_stage", "surveys", "surveys_stage"]

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
THEMES = ("light", "dark")
READ_IN = [("portal", "en"), ("portal", "ar"), ("surveys", "en"), ("surveys", "ar"), ("reports", "en")]
"""Support leads read English alone so far."""
PHONE = {"width": 320, "height": 640}
"""WCAG 1.4.10: 1280 pixels at 400 %."""

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
DIFFICULT_COLOURS = ("#ffe600", "#7f7f7f", "#00ff66", "#000000", "#ffffff", "#e0115f")
"""None of them reaches 4.5:1 on both a white and a dark page."""

Act = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class State:
    """A page as somebody may meet it: where it is, and what they do there first."""

    name: str
    address: str
    act: Act | None = None


async def send(page: Page) -> None:
    """Send the form as it is, past what the browser would hold back: an error, which the page then explains."""
    async with page.expect_navigation():
        await page.evaluate("HTMLFormElement.prototype.submit.call(document.querySelector('form[method=post]'))")


async def everything_of_portal(portal: Stage, at: str) -> AsyncIterator[State]:
    """Every state of a ticket's page."""
    for number, status in enumerate(("open", "pending", "resolved", "closed")):
        ticket = a_ticket(
            ticket_id=f"T-{number}", version=2, status=status, subject=f"{status} {LONG}", priority="high"
        )
        path = await mailed(portal, **{name: getattr(ticket, name) for name in ("ticket_id", "status", "subject")})
        if status == "resolved":
            await portal.hears(a_ticket_resolved(ticket=ticket))
        yield State(f"ticket {status}", at + path)
    files = (an_attachment(name=f"{LONG}.pdf"), an_attachment(attachment_id="late", name="صورة.jpg"))
    path = await mailed(portal, ticket_id="T-9", requester=a_ticket().requester, attachments=files)
    await put(portal)
    yield State("ticket, nothing written", at + path, send)
    await portal.hears(
        a_reply_sent(
            ticket=a_ticket(ticket_id="T-9", version=3),
            reply_id="a-2",
            body=f"Look: https://example.com/{LONG}\n> as you said",
        )
    )
    yield State("ticket, just sent", at + path + "?sent=yes")
    rich = f"<h3>{LONG}</h3><ol><li>a</ol><table><tr><th>{LONG}<td>{LONG}</table><pre>{LONG}</pre><blockquote>b"
    await portal.hears(
        a_reply_sent(ticket=a_ticket(ticket_id="T-9", version=4), reply_id="a-3", body="x", body_html=rich)
    )
    await portal.client.post(f"{path}/solved")
    yield State("ticket, just solved, with HTML", at + path + "?solved=yes")
    yield State("a dead link", f"{at}/t/{'x' * 43}")
    yield State("a fresh link, asked for", f"{at}/t/{'x' * 43}", send)


async def everything_of_surveys(surveys: Stage, at: str) -> AsyncIterator[State]:
    """Every state of a survey's page."""
    path = await invited(surveys, subject=f"A tent {LONG}")
    yield State("survey", at + path)
    yield State("survey, a star chosen in the email", at + path + "?score=2")
    yield State("survey, no star chosen", at + path, send)
    answered_path = await invited(surveys, ticket_id="T-2")
    solved = await solved_widget(surveys.client, f"{answered_path}/challenge")
    thanked = await surveys.client.post(answered_path, data={"score": "1", "comment": LONG, **solved})
    assert thanked.status_code == 303
    yield State("survey, thanks", at + thanked.headers["location"])
    yield State("survey, thanks, no message written", at + thanked.headers["location"], send)
    yield State("survey, answered", at + answered_path)
    answered_survey = await surveys.row(Survey, ticket_id="T-2")
    link = surveys.service.provided["links"].to_opt_out(answered_survey.survey_id)
    opt_out = link.removeprefix("https://surveys.example")
    yield State("opting out", at + opt_out)
    yield State("opted out", at + opt_out, send)
    withdrawn = await invited(surveys, ticket_id="T-3")
    await surveys.hears(a_ticket_updated(ticket=a_ticket(ticket_id="T-3", version=4, status="open")))
    yield State("survey, expired", at + withdrawn)
    yield State("a dead survey link", f"{at}/s/{'x' * 43}")


async def unfold(page: Page) -> None:
    """Open what is folded."""
    await page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")


async def everything_of_reports(reports: Stage, at: str) -> AsyncIterator[State]:
    """Every state of the CSAT tab."""
    yield State("sign in", at + "/sign-in")
    yield State("the API's documentation", at + "/api/v1/docs", unfold)
    for account_id, scores in (("empty", ()), ("few", (5,)), ("acme", (5, 4, 1, 2, 5, 3, 5, 5))):
        await reports.hears(an_account(account_id=account_id, name=f"{account_id} {LONG}"))
        await reports.hears(
            *(
                answered(f"s-{number}", score, account_id=account_id, agent=ADA, comment=f"{LONG} {number}")
                for number, score in enumerate(scores)
            )
        )
    agents = [Agent(agent_id=f"a-{number}", name=f"{LONG} {number}", email="a@desk.example") for number in range(15)]
    facts = {"requester_name": "ليلى حدّاد", "subject": LONG, "channel": "web_form"}
    slow = ReasonGiven(code="too_slow", text="Too slow")
    before = NOON - timedelta(days=20)
    await reports.hears(
        *(answered(f"b-{number}", 3, at=before) for number in range(20)),
        *(answered(f"o-{agent.agent_id}", 4, agent=agent, comment="مشكلتي حُلّت", **facts) for agent in agents),
        submitted(a_survey("r", **facts), 1, reason=slow, comment="とても助かりました。"),
        *(expired(a_survey(f"e-{reason}"), reason) for reason in ("reopened", "undeliverable")),
    )
    days = "first=2026-02-20&last=2026-03-05"
    views = {
        "empty": ("empty", ""),
        "one response": ("few", days),
        "everything open": ("acme", days),
        "nothing in these days": ("acme", "preset=yesterday"),
        "filtered": ("acme", f"{days}&agent=ada&priority=normal&channel=email&score=1&score=5&q={LONG}"),
        "nothing found": ("acme", f"{days}&agent=ada&q=nothing"),
        "every agent, in another order": ("acme", f"{days}&agents=all&sort=-name&commented=yes&attribution=assignee"),
        "a mistake": ("acme", "first=2026-02-30&priority=none"),
        "five years": ("acme", "first=2021-03-05&last=2026-03-02"),
    }
    for name, (account_id, query) in views.items():
        key = await a_key(reports, account_id)

        async def look(page: Page, key: str = key, query: str = query, opens: bool = name == "everything open") -> None:
            await page.context.add_cookies([{"name": COOKIE, "value": key, "url": at}])
            await page.goto(f"{at}/csat?{query}")
            if opens:
                await unfold(page)

        yield State(f"CSAT tab, {name}", f"{at}/sign-in", look)


EVERYTHING = {"portal": everything_of_portal, "surveys": everything_of_surveys, "reports": everything_of_reports}


@pytest_asyncio.fixture
async def stages(portal: Stage, surveys: Stage, reports: Stage) -> dict[str, Stage]:
    """What serves pages."""
    return {"portal": portal, "surveys": surveys, "reports": reports}


async def complaints(page: Page, state: str) -> list[str]:
    """What axe has against a page, and whether it is wider than a phone."""
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]})
    told = [
        f"{state}: {violation['id']}: {node['html']}\n    {node['failureSummary']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
    if (width := await page.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
        told.append(f"{state}: {width} pixels wide")
    return told


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("service", "language"), READ_IN)
async def test_no_page_is_in_anybodys_way(
    browser: Browser, stages: dict[str, Stage], service: str, language: str
) -> None:
    """No violation in any state and theme; nothing is to be scrolled sideways at 320 pixels."""
    found: list[str] = []
    stage = stages[service]
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(stage))
        states = [state async for state in EVERYTHING[service](stage, f"http://127.0.0.1:{port}")]
        context = await browser.new_context(viewport=PHONE, locale=language, reduced_motion="reduce")
        for state in states:
            page = await context.new_page()
            await page.goto(state.address)
            if state.act:
                await state.act(page)
            for theme in THEMES:
                await page.emulate_media(color_scheme=theme)
                found += await complaints(page, f"{state.name}, {theme}, {language}")
            await page.close()
        await context.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("colour", DIFFICULT_COLOURS)
async def test_an_accounts_colour_can_be_read_on(browser: Browser, portal: Stage, colour: str) -> None:
    """Whatever the account's colour, text on it and in it has 4.5:1."""
    await portal.hears(an_account(version=2, colour=colour))
    path = await mailed(portal)
    found: list[str] = []
    async with serving(portal) as port:
        page = await browser.new_page(viewport=PHONE)
        await page.goto(f"http://127.0.0.1:{port}{path}")
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme)
            found += await complaints(page, f"{colour}, {theme}")
        await page.close()
    assert not found, "\n".join(found)


async def test_what_is_in_the_way_is_found(browser: Browser) -> None:
    """So that silence means something: a field without a name, grey on grey, and a page that is too wide."""
    page = await browser.new_page(viewport=PHONE)
    await page.set_content(
        "<html lang=en><title>Planted</title><main><h1>Planted</h1><input>"
        "<p style='color:#999;background:#aaa;inline-size:50rem'>Grey</p></main>"
    )

    found = "\n".join(await complaints(page, "planted"))

    assert all(word in found for word in ("label:", "color-contrast:", "pixels wide"))
    await page.close()
