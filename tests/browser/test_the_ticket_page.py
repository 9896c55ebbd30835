"""What the ticket page's script adds, in a real browser: news that come by themselves, drafts that stay, paper."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from shared.public_pages.pace import FASTEST
from tests.attacks.test_rate_limits import replica
from tests.browser.conftest import PATIENCE_MS
from tests.builders import a_reply_received, a_reply_sent, a_ticket, a_ticket_updated
from tests.portal.conftest import mailed, portal, portal_stage
from tests.portal.test_live import listening
from tests.stage import Stage

__all__ = ["portal", "portal_stage"]


@pytest_asyncio.fixture
async def url(portal: Stage) -> AsyncIterator[str]:
    """The address of a replica that listens. What is heard is heard by another one."""
    expect.set_options(timeout=PATIENCE_MS)
    async with replica(portal) as other, listening(other) as address:
        yield address


async def opened(context: BrowserContext, address: str) -> Page:
    """Open the page on a phone and wait until it is told of news."""
    page = await context.new_page()
    await page.set_viewport_size({"width": 390, "height": 800})
    async with page.expect_response(lambda response: "/events" in response.url) as stream:
        await page.goto(address)
    assert (await stream.value).status == 200
    return page


@pytest.mark.timeout(120)
async def test_news_come_by_themselves_and_disturb_nobody(portal: Stage, url: str, context: BrowserContext) -> None:
    """A new reply stands in its place and is announced; draft, focus and caret stay where they are."""
    path = await mailed(portal)
    page = await opened(context, url + path)
    field = page.get_by_label("Your reply")
    await field.fill("Half a sent")
    await field.evaluate("field => field.setSelectionRange(4, 6)")

    await portal.hears(a_reply_sent(reply_id="a-2", body="It left today: https://ok.example", sent_at=portal.clock()))

    await expect(page.locator("article.message")).to_have_count(2)
    await expect(page.locator("#news")).to_have_text("There is a new message.")
    await expect(page.get_by_role("link", name="https://ok.example")).to_be_visible()
    await expect(field).to_be_focused()
    await expect(field).to_have_value("Half a sent")
    assert await field.evaluate("field => [field.selectionStart, field.selectionEnd]") == [4, 6]

    await portal.hears(
        a_reply_received(reply_id="e-0", body="An older one", received_at=portal.clock().replace(hour=1)),
        a_ticket_updated(ticket=a_ticket(version=8, status="resolved")),
    )

    await expect(page.locator("article.message").first).to_contain_text("An older one")
    await expect(page.locator("#facts")).to_contain_text("Resolved")
    await expect(page.get_by_role("button", name="Mark as solved")).to_have_count(0)
    await expect(page.locator("article.message")).to_have_count(3)
    await expect(field).to_have_value("Half a sent")


@pytest.mark.timeout(120)
async def test_a_page_whose_news_did_not_come_through_asks_again(
    portal: Stage, url: str, context: BrowserContext
) -> None:
    """Offline for a moment: nothing is lost."""
    path = await mailed(portal)
    page = await opened(context, url + path)
    await context.set_offline(offline=True)
    async with page.expect_event("requestfailed"):
        await portal.hears(a_reply_sent(reply_id="a-2"))
    await context.set_offline(offline=False)

    await expect(page.locator("article.message")).to_have_count(2)


@pytest.mark.timeout(120)
async def test_a_draft_outlives_a_reload_and_goes_when_it_was_sent(
    portal: Stage, url: str, context: BrowserContext
) -> None:
    """It belongs to its tab and its ticket."""
    path, other = await mailed(portal), await mailed(portal, ticket_id="T-2")
    page = await opened(context, url + path)
    await page.get_by_label("Your reply").fill("Not lost\nat all")

    await page.goto(url + other)
    await expect(page.get_by_label("Your reply")).to_have_value("")
    await page.goto(url + path)
    await expect(page.get_by_label("Your reply")).to_have_value("Not lost\nat all")
    second_tab = await context.new_page()
    await second_tab.goto(url + path)
    await expect(second_tab.get_by_label("Your reply")).to_have_value("")
    await second_tab.close()

    await page.get_by_label("Your reply").focus()
    portal.later(seconds=FASTEST.total_seconds() + 1)  # the clock on stage is not the browser's
    await page.get_by_role("button", name="Send reply").dblclick()
    await expect(page.get_by_text("Your reply was sent.")).to_be_visible()
    assert "sent=yes" in page.url
    await expect(page.get_by_label("Write another reply")).to_have_value("")
    await page.goto(url + path)
    await expect(page.get_by_label("Your reply")).to_have_value("")
    await expect(page.get_by_text("Not lost")).to_have_count(1)


@pytest.mark.timeout(120)
async def test_solving_and_a_fresh_link_by_clicking(portal: Stage, url: str, context: BrowserContext) -> None:
    """One button each, without a word to type."""
    path = await mailed(portal)
    page = await opened(context, url + path)
    await page.get_by_role("button", name="Mark as solved").click()
    await expect(page.get_by_text("You marked this ticket as solved.")).to_be_visible()
    await expect(page.locator("#facts")).to_contain_text("Resolved")
    portal.later(days=90)

    answer = await page.reload()
    assert answer is not None
    assert answer.status == 404


@pytest.mark.timeout(120)
async def test_on_paper_there_is_the_conversation_and_nothing_to_press(
    portal: Stage, url: str, context: BrowserContext
) -> None:
    """Quoted text is unfolded, links say where they lead, forms and buttons are gone."""
    path = await mailed(portal)
    await portal.hears(
        a_reply_sent(reply_id="a-2", body="x", body_html='<p>See <a href="https://ok.example/">this</a></p>'),
        a_reply_received(body="Thanks\n\nOn 2 March, Ada wrote:\n> A new pole"),
    )
    page = await opened(context, url + path)
    await page.emulate_media(media="print", color_scheme="dark")

    for gone in ("form", "button", "textarea", "summary", ".avatar"):
        assert await page.locator(gone).evaluate_all("found => found.filter(one => one.checkVisibility()).length") == 0
    await expect(page.locator(".quoted blockquote")).to_be_visible()
    after = "link => getComputedStyle(link, '::after').content"
    assert "https://ok.example/" in await page.get_by_role("link", name="this").evaluate(after)
    background = "getComputedStyle(document.body).backgroundColor"
    assert await page.evaluate(background) == "rgb(255, 255, 255)"


COUNTED = """
window.streams = 0;
window.EventSource = class extends EventSource {
  constructor(address) { super(address); window.streams++; }
  close() { if (this.readyState !== EventSource.CLOSED) window.streams--; super.close(); }
};
window.look = (hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
};
"""


@pytest.mark.timeout(120)
async def test_a_page_that_nobody_looks_at_or_whose_link_died_keeps_no_connection(
    portal: Stage, url: str, context: BrowserContext
) -> None:
    """A replica has room for so many; a page that is looked at again catches up, one without a link never."""
    path = await mailed(portal)
    await context.add_init_script(COUNTED)
    page = await opened(context, url + path)

    assert await page.evaluate("window.streams") == 1
    await page.evaluate("look(true)")
    assert await page.evaluate("window.streams") == 0
    await page.evaluate("look(false)")
    assert await page.evaluate("window.streams") == 1

    await context.route(url + path, lambda route: route.fulfill(status=404))
    await portal.hears(a_reply_sent(reply_id="a-2", body="Too late", sent_at=portal.clock()))
    while await page.evaluate("window.streams"):
        await asyncio.sleep(0.05)
    await page.evaluate("look(true); look(false)")
    assert await page.evaluate("window.streams") == 0
