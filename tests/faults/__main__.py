"""`make faults`: the whole matrix on real Kafka, PostgreSQL and SMTP, a printed row for each fault."""

import asyncio
import logging
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from tests.faults.parts import own_parts, running
from tests.faults.rows import ROWS
from tests.faults.scene import SHORT, Fault, Pace
from tests.faults.table import show_header, show_row

WIDTH = 150

console = Console(width=WIDTH)


@click.command()
@click.option("--seed", default="", help="Play the schedule of this seed again.")
@click.option("--only", default="", help="Rows to play, such as F5,F9; F9 is F9a, F9b and F9c.")
@click.option("--rate", default=Pace.rate, show_default=True, help="Operations a second.")
@click.option("--short", is_flag=True, help="Less load, shorter faults, each once: two to three minutes.")
@click.option("--patient", default=1.0, show_default=True, help="Allow so many times as long, on a busy machine.")
def main(seed: str, only: str, rate: float, patient: float, *, short: bool) -> None:
    """Break everything once and hold what is left against what was promised. Exit code 1: a promise was not kept."""
    pace = (SHORT if short else Pace(rate=rate)).allowing(patient)
    seed = seed or secrets.token_hex(4)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is down on purpose
    folder = Path(tempfile.mkdtemp(prefix="closeloop-faults-"))
    console.print(f"seed {seed}; journal and logs in {folder}")
    broken = asyncio.run(_play(_chosen(only), folder, seed, pace))
    if broken:
        console.print(f"[red]{', '.join(broken)} broken[/]; python -m tests.faults --seed {seed} --only {broken[0]}")
        sys.exit(1)
    shutil.rmtree(folder, ignore_errors=True)


def _chosen(only: str) -> list[Fault]:
    wanted = {name.strip().upper() for name in only.split(",") if name.strip()}
    rows = [row for row in ROWS if not wanted or wanted & {row.id.upper(), row.id.rstrip("abcde").upper()}]
    if not rows:
        raise click.UsageError(f"there are {', '.join(row.id for row in ROWS)}")
    return rows


async def _play(rows: Sequence[Fault], folder: Path, seed: str, pace: Pace) -> list[str]:
    """Play the rows and give the ids of those that broke a promise."""
    broken = []
    begun = time.monotonic()
    async with (
        own_parts(folder) as (kafka, servers),
        running(folder, servers, kafka.bootstrap_servers, seed=seed, pace=pace, kafka=kafka) as run,
    ):
        show_header(console)
        for row in rows:
            result = await run.play(row)
            show_row(console, result)
            if not result.passed:
                broken.append(row.id)
    console.print(f"{len(rows) - len(broken)} of {len(rows)} kept in {time.monotonic() - begun:.0f} s; seed {seed}")
    return broken


if __name__ == "__main__":
    main()
