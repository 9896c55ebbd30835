"""Look at every state of the reliable path, and see every mistake found: `python -m tests.model`."""

import click
from rich.console import Console
from rich.table import Table

from tests.model.checker import Outcome
from tests.model.mistakes import FAULTS, MISTAKES, PROTOCOLS, look_for_mistakes, what_comes_of


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Tell how each mistake goes wrong, step by step.")
@click.option("--faults", default=FAULTS, show_default=True, help="How many things may go wrong in one run.")
@click.option("--markdown", is_flag=True, help="Print the table of docs/model.md.")
def main(verbose: bool, faults: int, markdown: bool) -> None:
    """Explore the outbox, relay, inbox and acknowledgement protocol, and the mistakes one could make in it."""
    if markdown:
        click.echo(as_markdown())
        return
    console = Console()
    columns = ("protocol or mistake", "faults", "states", "transitions", "seconds", "steps", "what is wrong then")
    table = Table(*columns)
    for column in table.columns[1:-1]:
        column.justify = "right"
    with console.status("looking"):
        for protocol in PROTOCOLS:
            outcome = look_for_mistakes(protocol, faults)
            table.add_row(protocol, str(faults), *_figures(outcome), f"{outcome.seconds:.2f}", *_wrong(outcome))
        table.add_section()
        for mistake in MISTAKES:
            needed, outcome = what_comes_of(mistake)
            table.add_row(mistake, str(needed), *_figures(outcome), f"{outcome.seconds:.2f}", *_wrong(outcome))
    console.print(table)
    if verbose:
        for mistake in MISTAKES:
            _tell(console, mistake)


def as_markdown() -> str:
    """The table without what differs from machine to machine."""
    lines = ["| | faults | states | transitions | steps | what is wrong then |", "|---|--:|--:|--:|--:|---|"]
    for protocol in PROTOCOLS:
        outcome = look_for_mistakes(protocol)
        lines.append(f"| **{protocol}** | {FAULTS} | {' | '.join((*_figures(outcome), *_wrong(outcome)))} |")
    for mistake in MISTAKES:
        needed, outcome = what_comes_of(mistake)
        lines.append(f"| {mistake} | {needed} | {' | '.join((*_figures(outcome), *_wrong(outcome)))} |")
    return "\n".join(lines)


def _figures(outcome: Outcome) -> tuple[str, str]:
    return f"{outcome.states:,}", f"{outcome.transitions:,}"


def _wrong(outcome: Outcome) -> tuple[str, str]:
    if outcome.counterexample is None:
        return "", "nothing"
    return str(len(outcome.counterexample.steps)), outcome.counterexample.complaint


def _tell(console: Console, mistake: str) -> None:
    counterexample = what_comes_of(mistake).outcome.counterexample
    assert counterexample
    console.print(f"\n[bold]{mistake}")
    for number, step in enumerate(counterexample.steps, 1):
        console.print(f"{number:4}  {step}", highlight=False)
    console.print(f"   →  {counterexample.complaint}", highlight=False)


if __name__ == "__main__":
    main()
