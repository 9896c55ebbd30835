"""Letters as a browser lays them out, on a phone and on a desk, by day and by night."""

import pytest
from playwright.async_api import Browser

from shared.public_pages.language import LANGUAGES
from tests.notifier.builders import a_brand, a_letter, an_email, html_of
from tests.notifier.test_letters import KINDS

LONG = "Bartholomew-Maximilian-Featherstonehaugh-Cholmondeley-von-und-zu-Hohenlohe-Langenburg " * 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [320, 360, 700])
async def test_letters_fit_any_screen(browser: Browser, kind, width: int) -> None:
    """No name, word or address is so long that somebody has to scroll sideways."""
    hostile = an_email(kind, author=LONG, subject=LONG, text="w" * 500 + "\n" + LONG)
    page = await browser.new_page(viewport={"width": width, "height": 600})
    await page.set_content(html_of(a_letter(hostile, a_brand(name=LONG))))

    assert await page.evaluate("document.documentElement.scrollWidth") == width
    await page.close()


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
async def test_stars_fit_under_their_names_in_every_language(browser: Browser, tag: str) -> None:
    """On the narrowest phone no name of a star is wider than its place."""
    page = await browser.new_page(viewport={"width": 320, "height": 600})
    await page.set_content(html_of(a_letter(an_email("survey_invited", locale=tag))))

    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    overflow = "[...document.querySelectorAll('.star')].filter(star => star.scrollWidth > star.clientWidth).length"
    assert await page.evaluate(overflow) == 0
    await page.close()


@pytest.mark.parametrize("width", [320, 360, 700])
async def test_stars_are_big_enough_to_tap(browser: Browser, width: int) -> None:
    """Each star is 44 pixels or more both ways (WCAG 2.2, target size enhanced) and says what it means."""
    page = await browser.new_page(viewport={"width": width, "height": 600})
    await page.set_content(html_of(a_letter(an_email("survey_invited"))))

    stars = page.get_by_role("link", name="Very good")
    assert await stars.count() == 1
    boxes = await page.evaluate("[...document.querySelectorAll('.star')].map(s => [s.offsetWidth, s.offsetHeight])")
    assert len(boxes) == 5
    assert min(side for box in boxes for side in box) >= 44
    await page.close()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
async def test_letters_are_dark_at_night(browser: Browser, scheme, dark: bool) -> None:
    """The paper follows the reader's setting."""
    page = await browser.new_page(color_scheme=scheme)
    await page.set_content(html_of(a_letter(an_email())))

    background = await page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
    assert background == ("rgb(27, 30, 33)" if dark else "rgb(255, 255, 255)")
    await page.close()
