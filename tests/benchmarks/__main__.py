"""`make bench-reports`: how fast reports loads, reads, ingests and rebuilds, as ratios to the least that can be."""

import asyncio
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from services.reports.terminal import Tell, watched
from shared.chassis.telemetry import log_as_json
from tests.benchmarks.data import accounts
from tests.benchmarks.ingest import INGEST_COLUMNS, ingest, publish
from tests.benchmarks.load import LOAD_COLUMNS, load
from tests.benchmarks.measuring import show
from tests.benchmarks.read import BARE_LIMIT, FLAT_COLUMNS, FLAT_LIMIT, READ_COLUMNS, Side, prepare_raw, read
from tests.benchmarks.system import Database, Reports, running_postgres
from tests.real_parts import running_kafka

console = Console(width=150)


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    ratings: int
    accounts: int
    events: int
    rounds: int


QUICK = Size(ratings=4000, accounts=3, events=1000, rounds=1)


@click.command()
@click.option("--ratings", default=10_000_000, show_default=True, help="Ratings over two years.")
@click.option("--accounts", default=50, show_default=True, help="Accounts they are of.")
@click.option("--events", default=100_000, show_default=True, help="Events to take from Kafka.")
@click.option("--rounds", default=3, show_default=True, help="Rounds in which contenders take turns.")
@click.option("--only", type=click.Choice(["read", "ingest"]), help="This part alone; reading begins with loading.")
@click.option("--quick", is_flag=True, help="A small run that shows that all of it works and measures nothing.")
def main(*, quick: bool, only: str | None, **size: int) -> None:
    """Measure reports on real PostgreSQL and Kafka. Exit code 1: API, rollup and ratings do not say the same."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    log_as_json("benchmark", "CRITICAL")
    folder = Path(tempfile.mkdtemp(prefix="closeloop-benchmark-"))
    begun = time.monotonic()
    try:
        asyncio.run(_measure(folder, QUICK if quick else Size(**size), only))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    console.print(f"All answers agreed. {(time.monotonic() - begun) / 60:.1f} minutes.")


async def _measure(folder: Path, size: Size, only: str | None) -> None:
    console.print(
        f"{size.ratings:,} ratings of {size.accounts} accounts; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}."
        " Ratios are medians over rounds, with the least and the most in brackets: that is the machine's noise."
    )
    with running_postgres(folder / "postgres") as server, running_kafka(folder / "kafka") as kafka, watched() as tell:
        if only != "ingest":
            await _load_and_read(Database(server, "bench_tenth", kafka), folder, size, tell)
        if only != "read":
            await _ingest(Database(server, "bench_ingest", kafka), folder, size, tell)


async def _load_and_read(tenth: Database, folder: Path, size: Size, tell: Tell) -> None:
    some = accounts(size.accounts)
    until = datetime.now(UTC)
    await tenth.make(some)
    await tenth.admin.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
    await tenth.admin.execute("SELECT pg_reload_conf()")
    count = size.ratings // 10
    loads = [await load(tenth, some, count, until, seed=1, rounds=size.rounds, tell=tell)]
    everything = await tenth.copied("bench_all")
    rest = size.ratings - count
    loads.append(await load(everything, some, rest, until, seed=2, rounds=size.rounds, tell=tell))
    rows = [each.row(name) for each, name in zip(loads, ("into empty tables", f"behind {count:,}"), strict=True)]
    show(console, "Load", LOAD_COLUMNS, rows)

    running: list[Reports] = []
    try:
        sides = []
        for database in (everything, tenth):
            tell("Preparing the tables", 0, 0, "")
            await prepare_raw(database)
            running.append(Reports(database, folder))
            sides.append(await Side.of(database, running[-1], some[0], until))
        reads = await read(*sides, size.rounds, tell)
    finally:
        await asyncio.gather(*(asyncio.to_thread(reports.stop) for reports in running))
    title = f"Read, the largest account of {size.ratings:,} ratings"
    show(console, title, READ_COLUMNS, [each.row for each in reads])
    console.print(f"{_share(each.kept for each in reads)} requests are within {BARE_LIMIT:g} of the bare query.")
    show(console, "Flat", FLAT_COLUMNS, [each.flat_row for each in reads])
    console.print(f"{_share(each.is_flat for each in reads)} requests are within {FLAT_LIMIT:g} of a tenth.")
    await everything.close()
    await tenth.close()


def _share(kept: Iterable[bool]) -> str:
    several = list(kept)
    return f"{sum(several)} of {len(several)}"


async def _ingest(database: Database, folder: Path, size: Size, tell: Tell) -> None:
    some = accounts(size.accounts)
    await database.make(some)
    published = await publish(database.kafka, some, size.events, datetime.now(UTC), tell)
    measured = await ingest(database, folder, published, min(size.rounds, 3), tell)
    show(console, f"Ingest of {published:,} events", INGEST_COLUMNS, measured.rows())
    await database.close()


if __name__ == "__main__":
    main()
