"""What operators see of long work: a bar while it goes on, on standard error, and tables of what it found."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from services.reports.verification import Difference

MOST_SHOWN = 50
"""Lines of a table. Who has more to look at has them in the database."""


class _Count(ProgressColumn):
    """How many of how many, and how many a second: 12,300 of 40,000 records, 1,204 a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Write it."""
        speed = f", {task.speed:,.0f} a second" if task.speed else ""
        return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f} {self._unit}{speed}")


def bar(unit: str) -> Progress:
    """Make a bar that counts `unit`, and goes away when the work is done. Where nobody watches there is none."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Count(unit),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def show(table: Table) -> None:
    """Print a table."""
    Console().print(table)


def listing(columns: Iterable[str], rows: Sequence[Sequence[object]]) -> Table:
    """Lay out rows below their columns, MOST_SHOWN of them; numbers to the right."""
    table = Table(*columns)
    for column, value in zip(table.columns, rows[0] if rows else (), strict=False):
        column.justify = "right" if isinstance(value, int) else "left"
    for row in rows[:MOST_SHOWN]:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    if len(rows) > MOST_SHOWN:
        table.add_row("…", f"and {len(rows) - MOST_SHOWN:,} more")
    return table


def differences(found: Sequence[Difference]) -> Table:
    """Lay out where the rollup and the ratings disagree."""
    rows = [
        (each.account_id, each.day, each.agent_id or "nobody", each.count, each.rollup, each.ratings) for each in found
    ]
    return listing(("account", "day", "agent", "what", "rollup", "ratings"), rows)
