"""The real parts, started once for the whole run."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from deploy.postgres.embedded import PostgresServer
from tests.real_parts import PartMissingError, installed_chromium, running_kafka, running_postgres


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Start a PostgreSQL server; its databases are made and dropped by whoever needs them."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a real Kafka broker with every topic and give its bootstrap servers."""
    with _or_skip(), running_kafka(tmp_path_factory.mktemp("kafka")) as bootstrap_servers:
        yield bootstrap_servers


@pytest_asyncio.fixture
async def loop() -> asyncio.AbstractEventLoop:
    """Give the loop that everything asynchronous lives in, to tests that are not."""
    return asyncio.get_running_loop()


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Find the browser."""
    with _or_skip():
        return installed_chromium()


@pytest_asyncio.fixture(scope="session")
async def browser(chromium_path: Path) -> AsyncIterator[Browser]:
    """Start Chromium, which asks nobody anything of its own accord."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_path,
            args=[
                "--headless",
                "--no-sandbox",  # CI runs as root
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield chromium
        await chromium.close()


@contextmanager
def _or_skip() -> Iterator[None]:
    """Skip what a machine cannot run, but never in CI: there a test that did not run is a failure."""
    try:
        yield
    except PartMissingError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
