"""The benchmark does not rot: a small run of it, which also shows that every answer is right."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLES = ("Load", "Read", "Flat", "Ingest")


@pytest.mark.timeout(300)
async def test_a_quick_run_prints_its_tables_and_finds_that_all_answers_agree(kafka: str) -> None:
    """API, rollup and ratings say the same of every request; what comes again has no effect. No time is looked at.

    `kafka` is asked for so that CI fails where there can be none. The run has a broker of its own, with nothing in it.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks", "--quick"),
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    told = output.decode()

    assert process.returncode == 0, told
    assert [table for table in TABLES if f"\n{table}" not in told] == []
    assert "All answers agreed." in told
