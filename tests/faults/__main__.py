"""`make faults`: the whole matrix on real Kafka, PostgreSQL and SMTP, a printed row for each fault."""

import asyncio
import logging
import secrets
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from tests.faults.parts import own_parts, running
from tests.faults.rows import ROWS
from tests.faults.scene import Pace
from tests.faults.table import show_row, show_violations

console = Console(width=200)


@click.command()
@click.option("--seed", default="", help="Repeat the run of this seed.")
@click.option("--only", default="", help="Rows to play, such as F5,F9.")
@click.option("--rate", default=25.0, help="Operations a second.")
@click.option("--short", is_flag=True, help="Shorter faults and less load.")
def main(seed: str, only: str, rate: float, *, short: bool) -> None:
    """Break everything once and hold the result against the promises. Exit code 1: one was not kept."""
    seed = seed or secrets.token_hex(4)
    wanted = {name.strip().upper() for name in only.split(",") if name.strip()}
    rows = [row for row in ROWS if not wanted or wanted & {row.id.upper(), row.id.rstrip("abcde").upper()}]
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is down on purpose
    folder = Path(tempfile.mkdtemp(prefix="closeloop-faults-"))
    pace = Pace(rate=rate / 2, stretch=0.5, baseline=2, after=2, backlog=10_000) if short else Pace(rate=rate)
    console.print(f"seed {seed}, journal and logs in {folder}")
    sys.exit(asyncio.run(_run(rows, folder, seed, pace)))


async def _run(rows, folder: Path, seed: str, pace: Pace) -> int:
    failures = 0
    async with (
        own_parts(folder) as (kafka, servers),
        running(folder, servers, kafka.bootstrap_servers, seed=seed, pace=pace, kafka=kafka) as run,
    ):
        for row in rows:
            result = await run.play(row)
            show_row(console, result)
            show_violations(console, result)
            failures += not result.passed
    console.print(f"{len(rows) - failures} of {len(rows)} rows passed; seed {seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    main()
