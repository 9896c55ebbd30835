"""Measuring side by side: contenders take turns in rounds, and what is told of them is ratios."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

Work = Callable[[], Awaitable[object]]

ROUND_SECONDS = 0.15
RUNS_A_ROUND = 60
WARM_UP = 6
"""Runs that fill caches. PostgreSQL makes a plan for each of the first five."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How much more one took than another: the median over rounds, the least and the most."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, over: Sequence[float], under: Sequence[float]) -> "Ratio":
        """Compare two contenders round by round, so that a slow moment of the machine is in both."""
        ratios = [mine / theirs for mine, theirs in zip(over, under, strict=True)]
        return cls(median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        """2.31 (2.20–2.60)."""
        return f"{self.middle:.2f} ({self.least:.2f}–{self.most:.2f})"


async def side_by_side(contenders: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Give the seconds of each contender in each round: the median of RUNS_A_ROUND, of fewer where they take long."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        for _ in range(WARM_UP):
            await work()
    for _ in range(rounds):
        for name, work in contenders.items():
            seconds[name].append(await _seconds(work))
    return seconds


async def _seconds(work: Work) -> float:
    runs: list[float] = []
    while not runs or (len(runs) < RUNS_A_ROUND and sum(runs) < ROUND_SECONDS):
        begun = time.perf_counter()
        await work()
        runs.append(time.perf_counter() - begun)
    return median(runs)


def show(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table as Markdown has it: names to the left, figures to the right."""
    table = Table(box=box.MARKDOWN)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    console.print(f"\n{title}", style="bold", highlight=False)
    console.print(table)
