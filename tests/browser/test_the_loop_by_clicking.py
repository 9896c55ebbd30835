"""The whole loop in a real browser on real Kafka: from the agent's reply to the rating in the CSAT tab, by clicking."""

import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from deploy.kafka.native import NativeKafka
from deploy.postgres.embedded import PostgresServer
from shared.public_pages.captcha import CodeToRead
from shared.public_pages.pace import FASTEST
from tests.browser.conftest import PATIENCE_MS, a_person
from tests.sandbox.sandbox import Sandbox

SHOTS = Path(__file__).parents[1] / "screenshots"
MS_TO_READ = FASTEST.total_seconds() * 1000
"""Whoever sends a form sooner is taken for a robot."""


@pytest_asyncio.fixture(scope="module")
async def sandbox(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, kafka: str
) -> AsyncIterator[Sandbox]:
    """The sandbox on real Kafka: on a broker of its own, since its consumer groups have the usual names."""
    broker = NativeKafka(tmp_path_factory.mktemp("browser-kafka"))
    broker.start()
    sandbox = Sandbox(
        tmp_path_factory.mktemp("browser") / "sandbox",
        KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap_servers,
        DATABASE_URL=os.environ.get("DATABASE_URL") or postgres_server.admin_url,
    )
    try:
        await sandbox.start()
        yield sandbox
        await sandbox.stop()
    finally:
        broker.stop()


@pytest_asyncio.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person's browser, for whom nothing is out of reach."""
    async with a_person(browser, viewport={"width": 1280, "height": 900}) as context:
        yield context


async def photograph(page: Page, name: str) -> None:
    """Keep a picture for people to look at."""
    SHOTS.mkdir(exist_ok=True)
    await page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.timeout(300)
async def test_from_the_agents_reply_to_the_rating_in_the_csat_tab(sandbox: Sandbox, context: BrowserContext) -> None:
    """Both sides, as two people would use them."""
    expect.set_options(timeout=PATIENCE_MS)
    desk = await context.new_page()
    await desk.goto(sandbox.url)
    await photograph(desk, "1-desk")
    await desk.get_by_label("Subject").fill("The zip is stuck")
    await desk.get_by_label("What the requester wrote").fill("It does not move at all.")
    await desk.get_by_role("button", name="Create ticket").click()
    await desk.get_by_label("Reply").fill("Try some soap on it, please.")
    await desk.get_by_role("button", name="Send public reply").click()
    await desk.get_by_label("Reply").fill("Told to use soap, is that batch 44 again?")
    await desk.get_by_role("button", name="Add internal note").click()
    await desk.get_by_role("button", name="Set pending").click()
    ticket_url = desk.url

    async with context.expect_page() as opened:
        await desk.get_by_role("link", name="Open the portal").first.click()
    portal = await opened.value
    await expect(portal.get_by_role("heading", name="The zip is stuck")).to_be_visible()
    await expect(portal.get_by_text("Try some soap on it, please.")).to_be_visible()
    await expect(portal.get_by_text("Status: Pending")).to_be_visible()
    assert "batch 44" not in await portal.content()
    await portal.get_by_role("textbox").first.fill("Soap did not help.\nWhat now?")
    await photograph(portal, "2-portal")
    await portal.wait_for_timeout(MS_TO_READ)
    await portal.get_by_role("button", name=re.compile("send", re.IGNORECASE)).click()
    await expect(portal.get_by_text("Soap did not help.")).to_be_visible()
    await expect(portal.get_by_text("Status: Open")).to_be_visible()
    await photograph(portal, "3-portal-replied")

    await desk.goto(ticket_url)
    await expect(desk.get_by_text("Soap did not help.")).to_be_visible()
    await expect(desk.locator(".card .badge.open")).to_be_visible()
    await desk.get_by_role("button", name="Resolve").click()
    await expect(desk.get_by_role("link", name="Open the survey")).to_be_visible()
    await desk.goto(f"{sandbox.url}/mailbox?to=rita@customer.example")
    await desk.locator(".mails a").filter(has_text="The zip is stuck").first.click()
    await photograph(desk, "4-survey-email")
    async with context.expect_page() as opened:
        await desk.frame_locator("iframe").locator('a[href*="score=4"]').first.click()
    survey = await opened.value
    await expect(survey.get_by_role("radio", name=re.compile("4 of 5"))).to_be_checked()
    await survey.get_by_label("What should we know?").fill("Patient and kind, clicked through")
    await photograph(survey, "5-survey")
    await survey.wait_for_timeout(MS_TO_READ)
    await survey.get_by_role("button", name="Send my rating").click()
    await expect(survey.get_by_role("heading", name="Thank you!")).to_be_visible()
    await survey.get_by_role("link", name="See your rating").click()
    await expect(survey.get_by_text("Patient and kind, clicked through")).to_be_visible()
    await photograph(survey, "6-rated")

    await desk.goto(ticket_url)
    await expect(desk.get_by_text("Patient and kind, clicked through")).to_be_visible()
    async with context.expect_page() as opened:
        await desk.get_by_role("button", name="CSAT: Fjord Outdoor").click()
    report = await opened.value
    await expect(report.get_by_text("Patient and kind, clicked through")).to_be_visible()
    await photograph(report, "7-csat")


@pytest.mark.timeout(180)
async def test_an_open_page_hears_of_replies_and_its_ticket_is_solved_with_one_button(
    sandbox: Sandbox, context: BrowserContext
) -> None:
    """The agent's second reply comes by itself; the requester says that it is solved, and is asked how it went."""
    expect.set_options(timeout=PATIENCE_MS)
    desk = await context.new_page()
    await desk.goto(f"{sandbox.url}/tickets/1001")
    await desk.get_by_label("Reply").fill("Which pole is it?")
    await desk.get_by_role("button", name="Send public reply").click()
    async with context.expect_page() as opened:
        await desk.get_by_role("link", name="Open the portal").first.click()
    portal = await opened.value
    await expect(portal.get_by_text("Which pole is it?")).to_be_visible()

    await desk.get_by_label("Reply").fill("Found it: a new one left today.")
    await desk.get_by_role("button", name="Send public reply").click()
    await portal.bring_to_front()
    await expect(portal.get_by_text("Found it: a new one left today.")).to_be_visible()
    await portal.get_by_role("button", name="Mark as solved").click()
    await expect(portal.get_by_text("Status: Resolved")).to_be_visible()
    await photograph(portal, "10-portal-solved")

    await desk.goto(f"{sandbox.url}/tickets/1001")
    await expect(desk.get_by_text("says that it is solved")).to_be_visible()
    await expect(desk.locator(".card .badge.resolved")).to_be_visible()
    await expect(desk.get_by_role("link", name="Open the survey")).to_be_visible()


@pytest.mark.timeout(120)
async def test_without_scripts_a_reply_and_a_rating_go_through_with_the_code_to_read(
    sandbox: Sandbox, browser: Browser
) -> None:
    """Six digits instead of the widget, the survey in Arabic. The test knows the key, where people look or listen."""
    expect.set_options(timeout=PATIENCE_MS)
    keys = json.loads((sandbox.folder / "secrets.json").read_text())
    context = await browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 740})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()

    await page.goto(await _link(page, sandbox, "/tickets/1002", "Open the portal"))
    await page.get_by_role("textbox").first.fill("I am 1.84 m tall.")
    await _read_code(page, keys["portal"])
    await photograph(page, "8-portal-without-scripts")
    await page.wait_for_timeout(MS_TO_READ)
    await page.get_by_label("The six digits", exact=True).press("Enter")
    await expect(page.get_by_text("I am 1.84 m tall.")).to_be_visible()

    await page.goto(await _link(page, sandbox, "/tickets/1003", "Open the survey"))
    await page.get_by_role("radio", name=re.compile("2 من 5")).check()
    await _read_code(page, keys["surveys"])
    await photograph(page, "9-survey-without-scripts")
    await page.wait_for_timeout(MS_TO_READ)
    await page.locator("#captcha_code").press("Enter")
    await expect(page.get_by_role("heading", name="شكرًا لك!")).to_be_visible()
    await context.close()


async def _link(page: Page, sandbox: Sandbox, ticket: str, name: str) -> str:
    """Find a link of the ticket's emails on the desk."""
    await page.goto(f"{sandbox.url}{ticket}")
    link = await page.get_by_role("link", name=name).first.get_attribute("href")
    assert link
    return link


async def _read_code(page: Page, key: str) -> None:
    """Type what the picture shows."""
    challenge = await page.locator('input[name="captcha_challenge"]').get_attribute("value")
    assert challenge
    await page.locator("#captcha_code").fill(CodeToRead(key).code(challenge))
