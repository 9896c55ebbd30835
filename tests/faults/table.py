"""What a run prints."""

from rich.console import Console

from tests.faults.run import Result


def show_row(console: Console, result: Result) -> None:
    """Print one row's figures."""
    console.print(result.fault.id, result.fault.title, "passed" if result.passed else "FAILED", result.figures)


def show_violations(console: Console, result: Result) -> None:
    """Print what was not kept."""
    for found in result.violations:
        console.print(f"  {found}")
