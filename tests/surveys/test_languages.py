"""The survey in the reader's language, and its stars from either side."""

from dataclasses import replace

import pytest
from playwright.async_api import Browser

from tests.builders import RITA
from tests.stage import Stage
from tests.surveys.test_pages import invited, rate


async def test_a_survey_speaks_the_requesters_language_from_the_question_to_the_thanks(surveys: Stage) -> None:
    """The survey remembers it; the browser's is another."""
    path = await invited(surveys, requester=replace(RITA, locale="de"))
    english = {"accept-language": "en"}

    question = await surveys.client.get(path, headers=english)
    wrong = await surveys.client.post(path, data={"score": "9", "comment": "x" * 2001}, headers=english)
    await rate(surveys, path, score="2")
    thanks = await surveys.client.get(f"{path}/thanks", headers=english)
    answered = await surveys.client.get(path, headers=english)

    assert "Wie war unsere Hilfe?" in question.text
    assert "Bis zu 2.000 Zeichen." in question.text
    assert "Bitte wählen Sie 1 bis 5 Sterne." in wrong.text
    assert "Ihr Kommentar ist 1 Zeichen zu lang." in wrong.text
    assert "Vielen Dank!" in thanks.text
    assert "2 von 5: <bdi>Schlecht</bdi>" in answered.text
    for page in (question, wrong, thanks, answered):
        assert '<html lang="de" dir="ltr">' in page.text
        assert page.headers["content-language"] == "de"


async def test_a_survey_that_ended_says_so_in_the_browsers_language_where_none_is_known(surveys: Stage) -> None:
    """Until when is written as that language does."""
    path = await invited(surveys)
    surveys.later(days=15)

    page = await surveys.client.get(path, headers={"accept-language": "ja"})

    assert "このアンケートは終了しました" in page.text
    assert ">2026年3月16日 12:00</time>" in page.text


@pytest.mark.parametrize(
    ("tag", "next_key", "previous_key"), [("en", "ArrowRight", "ArrowLeft"), ("ar", "ArrowLeft", "ArrowRight")]
)
async def test_arrows_go_where_they_point(
    surveys: Stage, browser: Browser, tag: str, next_key: str, previous_key: str
) -> None:
    """Five stars run as the language does, and the key to the next one points to it."""
    path = await invited(surveys, requester=replace(RITA, locale=tag))
    page = await browser.new_page()
    await page.set_content((await surveys.client.get(f"{path}?score=2")).text)
    stars = page.locator(".stars").get_by_role("radio")

    places = [box["x"] for star in await stars.all() if (box := await star.bounding_box())]
    await stars.nth(1).focus()
    await page.keyboard.press(next_key)
    await page.keyboard.press(next_key)
    await page.keyboard.press(previous_key)

    assert places == sorted(places, reverse=tag == "ar")
    assert await page.locator("input:checked").get_attribute("value") == "3"
    await page.close()
