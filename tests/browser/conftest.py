"""A person's browser, and how long its tests wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

PATIENCE_MS = 20_000


@asynccontextmanager
async def a_person(browser: Browser, *tolerated: str, **options: Any) -> AsyncIterator[BrowserContext]:
    """A person's browser. A complaint in the console fails the test, unless it begins with what is tolerated."""
    context = await browser.new_context(reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    await context.close()
    assert [complaint for complaint in complaints if not complaint.startswith(tolerated)] == []


@pytest_asyncio.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A person's browser, for whom things may be out of reach."""
    async with a_person(browser, "Failed to load resource") as context:
        yield context
