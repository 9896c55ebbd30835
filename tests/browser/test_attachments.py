"""Files in a real browser: chosen on a phone, sent, and downloaded again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from services.portal.ticket import Message
from shared.public_pages.captcha import CodeToRead
from tests.attacks.server import serving
from tests.browser.conftest import PATIENCE_MS
from tests.portal.conftest import KEY, mailed, portal, portal_stage
from tests.portal.files import PDF, TEXT, a_photo
from tests.stage import Stage

__all__ = ["portal", "portal_stage"]

PHONE = {"width": 390, "height": 800}
MANY = 400_000
"""Bytes: more than a browser sends at once."""


@pytest_asyncio.fixture(params=["with scripts", "without scripts"])
async def phone(browser: Browser, request: pytest.FixtureRequest) -> AsyncIterator[BrowserContext]:
    """A person's phone."""
    expect.set_options(timeout=PATIENCE_MS)
    scripts = request.param == "with scripts"
    context = await browser.new_context(
        viewport=PHONE, reduced_motion="reduce", java_script_enabled=scripts, accept_downloads=True
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


async def chosen(page: Page, tmp_path: Path, **files: bytes) -> None:
    """Choose files as a person does, from a folder."""
    paths = []
    for number, content in enumerate(files.values()):
        path = tmp_path / list(files)[number].replace("_", ".")
        path.write_bytes(content)
        paths.append(path)
    await page.get_by_label("Attach files").set_input_files(paths)


async def sent(portal: Stage, page: Page) -> None:
    """Show to be a person, where no script does, and press the button."""
    code = page.locator('input[name="captcha_challenge"]')
    if await page.locator("#captcha_code").is_visible():
        await page.locator("#captcha_code").fill(CodeToRead(KEY).code(await code.get_attribute("value") or ""))
    portal.later(seconds=5)  # whoever sends a form at once is taken for a robot
    await page.get_by_role("button", name="Send reply").click()


@pytest.mark.timeout(120)
async def test_files_are_chosen_on_a_phone_sent_and_downloaded_again(
    portal: Stage, phone: BrowserContext, tmp_path: Path
) -> None:
    """Byte for byte, under the names they had."""
    path = await mailed(portal)
    photo = a_photo("JPEG", size=(800, 600)) + bytes(MANY)
    async with serving(portal) as port:
        page = await phone.new_page()
        await page.goto(f"http://127.0.0.1:{port}{path}")
        await page.get_by_label("Your reply").fill("Here they are.")
        await chosen(page, tmp_path, Größe_jpg=photo, manual_pdf=PDF, notes_txt=TEXT)

        await sent(portal, page)

        await expect(page.get_by_text("Your reply was sent.")).to_be_visible()
        for name, content in (("Größe.jpg", photo), ("manual.pdf", PDF), ("notes.txt", TEXT)):
            async with page.expect_download() as begun:
                await page.get_by_role("link", name=name).click()
            download = await begun.value
            assert download.suggested_filename == name
            assert (await asyncio.to_thread(Path(await download.path()).read_bytes)) == content
    assert len((await portal.rows(Message, kind="requester"))[0].attachments) == 3


@pytest.mark.timeout(120)
async def test_a_refused_file_is_explained_and_the_text_is_kept(
    portal: Stage, phone: BrowserContext, tmp_path: Path
) -> None:
    """The browser gets the page, though it sent more than was read."""
    path = await mailed(portal)
    async with serving(portal) as port:
        page = await phone.new_page()
        await page.goto(f"http://127.0.0.1:{port}{path}")
        await page.get_by_label("Your reply").fill("A long letter")
        await chosen(page, tmp_path, film_txt=b"a" * 12_000_000, page_html=b"<script>alert(1)</script>")

        await sent(portal, page)

        await expect(page.locator("#errors")).to_contain_text("“film.txt” is larger than 10 MB.")
        await expect(page.locator("#errors")).to_contain_text("“page.html” is not of a type that we take.")
        await expect(page.get_by_label("Your reply")).to_have_value("A long letter")
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
