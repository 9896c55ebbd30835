"""What the dashboard's script adds, in a real browser: figures that come in by themselves and disturb nobody."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect
from sqlalchemy import update

from services.reports.dashboard import COOKIE
from services.reports.tables import ApiKey
from tests.browser.conftest import PATIENCE_MS
from tests.builders import BEN, an_account
from tests.portal.test_live import listening
from tests.reports.conftest import reports, reports_stage
from tests.reports.test_live import replica
from tests.reports.told import a_key, answered, skipped
from tests.stage import Stage

__all__ = ["reports", "reports_stage"]


@pytest_asyncio.fixture
async def url(reports: Stage) -> AsyncIterator[str]:
    """The address of a replica that listens, on an account with some ratings. What is heard is heard by another one."""
    expect.set_options(timeout=PATIENCE_MS)
    await reports.hears(
        an_account(), *(answered(f"s-{number}", 4, comment=f"Number {number}.") for number in range(12))
    )
    async with replica(reports) as other, listening(other) as address:
        yield address


@pytest_asyncio.fixture
async def context(context: BrowserContext, reports: Stage, url: str) -> BrowserContext:
    """The browser of a lead who signed in."""
    await context.add_cookies([{"name": COOKIE, "value": await a_key(reports), "url": url}])
    return context


async def opened(context: BrowserContext, address: str) -> Page:
    """Open the page and wait until it is told of changes, and has looked whether it missed one."""
    page = await context.new_page()
    async with page.expect_response(lambda response: response.url.endswith("/csat/live")) as stream:
        await page.goto(address)
    assert (await stream.value).status == 200
    async with page.expect_response(lambda response: response.request.resource_type == "fetch"):
        pass
    return page


@pytest.mark.timeout(120)
async def test_ratings_come_in_by_themselves_and_disturb_nobody(
    reports: Stage, url: str, context: BrowserContext
) -> None:
    """Figures, rows and responses are the new ones; focus, what was typed, what was opened and the place stay."""
    page = await opened(context, f"{url}/csat")
    await page.get_by_text("Figures of the chart").click()
    search = page.get_by_role("searchbox")
    await search.fill("half a w")
    link = page.locator("#response-s-3 a")
    await link.focus()
    await page.evaluate("scrollTo(0, 500)")
    await expect(page.locator(".updated")).to_have_text("updated 12:00")

    now = reports.later(minutes=3)
    await reports.hears(answered("new", 1, at=now, agent=BEN, comment="It came by itself."))

    await expect(page.get_by_text("From 13 responses.")).to_be_visible()
    await expect(page.get_by_text("It came by itself.")).to_be_visible()
    await expect(page.locator("#agents").get_by_text("Ben Suzuki")).to_be_visible()
    await expect(page.locator(".updated")).to_have_text("updated 12:03")
    await expect(page.locator("#response-s-3 a")).to_be_focused()
    await expect(search).to_have_value("half a w")
    await expect(page.locator("#trend-figures")).to_have_attribute("open", "")
    assert await page.evaluate("scrollY") == 500


@pytest.mark.timeout(120)
async def test_the_first_rating_ends_the_empty_page(reports: Stage, url: str, context: BrowserContext) -> None:
    """The whole of it is put in, in the view that its address says."""
    await reports.hears(an_account(account_id="new", name="New Ltd"))
    await context.add_cookies([{"name": COOKIE, "value": await a_key(reports, "new"), "url": url}])
    page = await opened(context, f"{url}/csat?preset=today&commented=yes")
    await expect(page.get_by_text("No surveys yet")).to_be_visible()

    await reports.hears(answered("first", 5, account_id="new", comment="Hello."), answered("b", 5, account_id="new"))

    await expect(page.get_by_text("From 2 responses.")).to_be_visible()
    await expect(page.locator(".comments li")).to_have_count(1)
    await expect(page.get_by_text("No surveys yet")).to_have_count(0)


@pytest.mark.timeout(120)
async def test_many_changes_are_few_questions(reports: Stage, url: str, context: BrowserContext) -> None:
    """A busy hour must not ask the database for a page at every rating."""
    page = await opened(context, f"{url}/csat")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)

    for number in range(20):
        await reports.hears(answered(f"n-{number}", 5))

    await expect(page.get_by_text("From 32 responses.")).to_be_visible()
    assert len(asked) <= 3


@pytest.mark.timeout(120)
async def test_a_bar_a_column_and_a_row_can_be_clicked(reports: Stage, url: str, context: BrowserContext) -> None:
    """Anywhere on them, and gone back from; by keyboard as well."""
    await reports.hears(answered("low", 1, agent=BEN))
    page = await opened(context, f"{url}/csat")

    await page.locator(".distribution tr", has_text="1 ★").locator(".bar").click(force=True)  # on the link over it
    await expect(page.locator(".comments li")).to_have_count(1)
    assert page.url.endswith("/csat?score=1#responses")
    await page.go_back()
    await page.locator(".trend a").last.click(force=True)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert "first=2026-03-02&last=2026-03-02" in page.url
    await page.go_back()
    await page.locator("#agents").get_by_role("link", name="Ben Suzuki").press("Enter")
    await expect(page.get_by_role("link", name="Remove the filter Agent Ben Suzuki")).to_be_visible()
    await page.get_by_role("link", name="Remove the filter Agent Ben Suzuki").click()
    await expect(page.get_by_text("From 13 responses.")).to_be_visible()


@pytest.mark.timeout(120)
async def test_figures_that_did_not_come_are_asked_for_again(reports: Stage, url: str, context: BrowserContext) -> None:
    """Offline for a moment: what was shown stays, the page says since when, and what was missed comes."""
    page = await opened(context, f"{url}/csat")
    await page.route("**/csat", lambda route: route.abort())
    async with page.expect_event("requestfailed"):
        await reports.hears(answered("new", 5))
    await expect(page.get_by_text("From 12 responses.")).to_be_visible()
    stale = page.get_by_role("status")
    await expect(stale).to_have_text("No news since 2 March, 12:00: the connection is lost.")

    await page.unroute("**/csat")

    await expect(page.get_by_text("From 13 responses.")).to_be_visible()
    await expect(stale).to_be_empty()


@pytest.mark.timeout(120)
async def test_a_page_that_is_always_open_is_opened_anew_each_day(
    reports: Stage, url: str, context: BrowserContext
) -> None:
    """A wall stays signed in, and gets what a release changed."""
    page = await opened(context, f"{url}/csat")
    await page.evaluate("performance.now = () => 86_500_000")

    async with page.expect_navigation():
        await reports.hears(answered("new", 5))

    await expect(page.get_by_text("From 13 responses.")).to_be_visible()


@pytest.mark.timeout(120)
async def test_a_page_whose_key_was_revoked_asks_for_another(reports: Stage, url: str, context: BrowserContext) -> None:
    """With the next change, and shows nothing of it."""
    page = await opened(context, f"{url}/csat")
    async with reports.service.sessions.begin() as session:
        await session.execute(update(ApiKey).values(revoked_at=reports.clock()))

    await reports.hears(answered("new", 5))

    await expect(page.get_by_label("API key")).to_be_visible()


@pytest.mark.timeout(120)
async def test_it_prints_on_one_page(reports: Stage, url: str, context: BrowserContext) -> None:
    """With a part of everything, and nothing that wants to be clicked."""
    await reports.hears(
        *(
            answered(f"p-{number}", 1 + number % 5, priority=priority, channel=channel, comment="Said something.")
            for number, (priority, channel) in enumerate(
                (priority, channel)
                for priority in ("low", "normal", "high", "urgent")
                for channel in ("email", "chat", "phone", "web_form")
            )
        ),
        *(skipped(reason) for reason in ("opted_out", "disabled")),
    )
    page = await opened(context, f"{url}/csat")

    pdf = await page.pdf(prefer_css_page_size=True)
    await page.emulate_media(media="print")

    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    for shown in ("Average score", "CSAT", "Response rate", "Scores", "Agents", "By priority", "Responses"):
        await expect(page.get_by_role("heading", name=shown, exact=True)).to_be_visible()
    for hidden in ("Sign out", "Search", "Dates", "Export"):
        await expect(page.get_by_text(hidden, exact=True)).to_be_hidden()


@pytest.mark.timeout(120)
async def test_without_scripts_nothing_is_lost(browser: Browser, reports: Stage, url: str) -> None:
    """Days are chosen, responses searched and rows followed; news come with a reload."""
    context = await browser.new_context(java_script_enabled=False)
    await context.add_cookies([{"name": COOKIE, "value": await a_key(reports), "url": url}])
    page = await context.new_page()
    await page.goto(f"{url}/csat")

    await page.get_by_text("Dates").click()
    await page.get_by_label("From").fill("2026-03-01")
    await page.get_by_role("button", name="Show", exact=True).click()
    await expect(page.get_by_text("1–2 March 2026", exact=False).first).to_be_visible()
    await page.get_by_role("searchbox").fill("number 7")
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator(".comments li")).to_have_count(1)
    assert "first=2026-03-01&last=2026-03-02&q=number+7" in page.url

    await context.close()
