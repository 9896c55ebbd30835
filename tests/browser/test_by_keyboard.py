"""Replying and rating with the keys alone, as people do who cannot or would not use a mouse."""

from typing import Any

from playwright.async_api import Browser, Page

from services.portal.ticket import Message, Ticket
from services.surveys.survey import Survey
from services.surveys.tables import OptOut
from shared.public_pages.pace import FASTEST
from tests.attacks.conftest import invited
from tests.attacks.server import serving
from tests.attacks.visits import opt_out_of
from tests.portal.conftest import mailed, portal, portal_stage
from tests.stage import Stage
from tests.surveys.conftest import surveys, surveys_stage

__all__ = ["portal", "portal_stage", "surveys", "surveys_stage"]

FOCUSED = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect();
    // What is focused is not always what is seen: a star is beside its radio button, a box around its input.
    const marks = [at, at.parentElement, at.nextElementSibling].filter(Boolean).map((each) => getComputedStyle(each));
    return {
        name: at.id || at.name || at.type || at.tagName,
        marked: marks.some((style) => style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2),
        seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    };
}"""


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is there. On the way it is always where people see it."""
    on_the_way: list[dict[str, Any]] = []
    while not on_the_way or on_the_way[-1]["name"] != name:
        assert len(on_the_way) < 25, on_the_way
        await page.keyboard.press("Tab")
        on_the_way.append(await page.evaluate(FOCUSED))
    assert [stop for stop in on_the_way if not (stop["marked"] and stop["seen"])] == []


async def test_a_reply_goes_out_by_keyboard(browser: Browser, portal: Stage) -> None:
    """From the top of the page to the text, to the button, and the answer is announced."""
    path = await mailed(portal, status="pending")
    page = await browser.new_page(viewport={"width": 320, "height": 640})
    async with serving(portal) as port:
        await page.goto(f"http://127.0.0.1:{port}{path}")
        portal.later(seconds=2 * FASTEST.total_seconds())

        await tab_to(page, "body")
        await page.keyboard.type("It broke again.")
        await tab_to(page, "submit")
        await page.keyboard.press("Enter")

        await page.get_by_role("status").filter(has_text="Your reply was sent and the ticket is open again.").wait_for()
    assert [message.body for message in await portal.rows(Message, kind="requester")] == ["It broke again."]
    await page.close()


async def test_a_rating_goes_out_by_keyboard(browser: Browser, surveys: Stage) -> None:
    """The stars are one stop; arrows choose among them."""
    path = await invited(surveys)
    page = await browser.new_page(viewport={"width": 320, "height": 640})
    async with serving(surveys) as port:
        await page.goto(f"http://127.0.0.1:{port}{path}")
        surveys.later(seconds=2 * FASTEST.total_seconds())

        await tab_to(page, "score")
        await page.keyboard.press("Space")
        for _ in range(3):
            await page.keyboard.press("ArrowRight")
        await tab_to(page, "comment")
        await page.keyboard.type("Quick and kind.")
        await tab_to(page, "submit")
        await page.keyboard.press("Enter")

        await page.get_by_role("heading", name="Thank you!").wait_for()
    survey = await surveys.row(Survey)
    assert (survey.score, survey.comment) == (4, "Quick and kind.")
    await page.close()


async def test_a_ticket_is_solved_by_keyboard_at_400_percent(browser: Browser, portal: Stage) -> None:
    """At 320 by 256, which is what a page of 1280 by 1024 has left at that zoom, what has the focus is seen."""
    path = await mailed(portal)
    page = await browser.new_page(viewport={"width": 320, "height": 256})
    async with serving(portal) as port:
        await page.goto(f"http://127.0.0.1:{port}{path}")

        for _ in range(2):  # the button that sends a reply, then the other form's
            await tab_to(page, "submit")
        await page.keyboard.press("Enter")

        await page.get_by_role("status").filter(has_text="You marked this ticket as solved.").wait_for()
    assert (await portal.row(Ticket)).status == "resolved"
    await page.close()


async def test_surveys_are_left_and_asked_for_again_by_keyboard(browser: Browser, surveys: Stage) -> None:
    """With the same button, which says what it does."""
    await invited(surveys)
    page = await browser.new_page(viewport={"width": 320, "height": 256})
    async with serving(surveys) as port:
        await page.goto(f"http://127.0.0.1:{port}{await opt_out_of(surveys)}")
        for then in ("You get no more surveys", "No more surveys?"):
            await tab_to(page, "submit")
            await page.keyboard.press("Enter")
            await page.get_by_role("heading", name=then).wait_for()
    assert await surveys.count(OptOut) == 0
    await page.close()
