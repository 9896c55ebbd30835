"""What operators see of long work: a bar while it goes on, on standard error, and tables of what it found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

MOST_SHOWN = 50
"""Lines of a table. Who has more to look at has them in the database."""

Tell = Callable[[str, int, int, str], None]
"""Shows what goes on, how much of it is done, of how much (0 when nobody knows), and of what."""


class _Count(ProgressColumn):
    """How much of how much, and how much a second: 12,300 of 40,000 records, 1,204/s."""

    def render(self, task: Task) -> Text:
        """Write it."""
        if not task.fields["unit"]:
            return Text()
        of = f" of {task.total:,.0f}" if task.total else ""
        speed = f", {task.speed:,.0f}/s" if task.total and task.speed and task.speed >= 1 else ""
        return Text(f"{task.completed:,.0f}{of} {task.fields['unit']}{speed}")


@contextmanager
def watched() -> Iterator[Tell]:
    """Show what goes on, one line at a time, which goes away at the end; a line for each part where nobody watches."""
    console = Console(stderr=True)
    one_line = Column(no_wrap=True)
    columns = (
        TextColumn("{task.description}", table_column=one_line),
        BarColumn(bar_width=16),
        _Count(table_column=one_line),
        TimeRemainingColumn(table_column=one_line),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def tell(what: str, done: int, total: int, unit: str) -> None:
            if not progress.tasks or progress.tasks[-1].description != what:
                for task in progress.tasks:
                    progress.remove_task(task.id)
                progress.add_task(what, total=None, unit=unit)
                if not console.is_terminal:
                    console.print(f"{what} …")
            progress.update(progress.tasks[-1].id, completed=done, total=total or None, unit=unit)

        yield tell


def show(columns: Iterable[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows below their columns, at most MOST_SHOWN of them; numbers stand to the right."""
    table = Table(*columns)
    for column, value in zip(table.columns, rows[0] if rows else (), strict=False):
        column.justify = "right" if isinstance(value, int) else "left"
    for row in rows[:MOST_SHOWN]:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    if len(rows) > MOST_SHOWN:
        table.add_row("…", f"{len(rows) - MOST_SHOWN:,} more")
    Console().print(table)
