"""What a run prints: a row of figures for each fault, and which promises were not kept for which operations."""

from rich.console import Console
from rich.table import Table

from tests.faults.run import Result

COLUMNS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("ok/fail/unknown", 15, ("ok", "fail", "unknown")),
    ("events", 6, ("events",)),
    ("repeats: log/dropped", 12, ("repeats in log", "repeats dropped")),
    ("emails/again", 10, ("emails", "emails again")),
    ("dead", 4, ("dead letters",)),
    ("5xx/cut", 9, ("5xx", "cut off")),
    ("progress s", 8, ("progress s",)),
    ("drain s", 5, ("drain s",)),
    ("MB", 4, ("memory MB",)),
    ("s", 4, ("seconds",)),
)
"""Title, width, and the figures that stand in it with a slash between."""

_SHOWN = {name for _, _, names in COLUMNS for name in names}


def show_header(console: Console) -> None:
    """Print the titles."""
    table = _table(header=True)
    console.print(table)


def show_row(console: Console, result: Result) -> None:
    """Print one row, what only it has to tell, and the promises that were not kept."""
    table = _table(header=False)
    verdict = "[green]kept[/]" if result.passed else "[red]BROKEN[/]"
    cells = ["/".join(str(result.figures.get(name, "-")) for name in names) for _, _, names in COLUMNS]
    table.add_row(result.fault.id, result.fault.title, *cells, verdict)
    console.print(table)
    own = {name: figure for name, figure in result.figures.items() if name not in _SHOWN}
    console.print(f"     {'; '.join(f'{name} {figure}' for name, figure in own.items())}", style="dim", highlight=False)
    for violation in result.violations:
        console.print(f"     {violation}", style="red", highlight=False, markup=False)


def _table(*, header: bool) -> Table:
    table = Table(box=None, show_header=header, pad_edge=False)
    table.add_column("", width=4)
    table.add_column("fault", width=34)
    for title, width, _ in COLUMNS:
        table.add_column(title, width=width, justify="right", overflow="fold")
    table.add_column("promises", width=8)
    return table
