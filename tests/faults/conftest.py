"""One running product for the short form of the matrix and for the oracles' own test."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.faults.parts import own_parts, running
from tests.faults.rows.kills import NO_FAULT
from tests.faults.run import Result, Run
from tests.faults.scene import SHORT

SLOWER = 6.0
"""Limits of time are there to end what hangs; how fast the machine is today decides nothing."""


@pytest_asyncio.fixture(scope="session")
async def run(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[Run]:
    """The product on a broker and servers of its own. `kafka` is asked for so that CI fails where there can be none."""
    folder = tmp_path_factory.mktemp("faults")
    async with (
        own_parts(folder) as (broker, servers),
        running(
            folder, servers, broker.bootstrap_servers, seed="ci", pace=SHORT.allowing(SLOWER), kafka=broker
        ) as running_product,
    ):
        yield running_product


@pytest_asyncio.fixture(scope="session")
async def undisturbed(run: Run) -> Result:
    """A row in which nothing was broken, long enough for some tickets to be rated."""
    busier = replace(run, pace=replace(run.pace, rate=20, stretch=0.6))
    return await busier.play(NO_FAULT)
