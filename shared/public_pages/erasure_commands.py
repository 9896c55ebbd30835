"""`erasures`: which requesters a service was asked to erase, and what it let go of. Ids alone."""

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import select

from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.erasure import ErasureColumns


def erasures_command(program: Program, table: type[ErasureColumns]) -> click.Command:
    """Make the command."""

    @click.command()
    @click.option("--account", "account_id", metavar="ACCOUNT", help="Only of this account.")
    @click.option("--requester", "requester_id", metavar="REQUESTER", help="Only of this requester.")
    @click.option("--request", "request_id", metavar="REQUEST", help="Only this request. Exit code 1: not carried out.")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many to show.")
    def erasures(account_id: str | None, requester_id: str | None, request_id: str | None, limit: int) -> None:
        """Show which requesters were erased here, and how many rows of which table that changed, newest first.

        The same goes to the help desk as requester.forgotten.
        """
        named = {"account_id": account_id, "requester_id": requester_id, "request_id": request_id}
        chosen = select(table).filter_by(**{name: value for name, value in named.items() if value is not None})

        async def show(service: Service) -> bool:
            async with service.sessions() as session:
                rows = (await session.scalars(chosen.order_by(table.forgotten_at.desc()).limit(limit))).all()
            listing = Table("account", "requester", "request", "asked at (UTC)", "carried out at (UTC)", "rows")
            for row in rows:
                changed = ", ".join(f"{count:,} {name}" for name, count in row.rows.items() if count) or "none"
                times = (f"{time:%Y-%m-%d %H:%M:%S}" for time in (row.erased_at, row.forgotten_at))
                cells = (row.account_id, row.requester_id, row.request_id, *times, changed)
                # Text: an id is shown as it is, also where Rich would take a part of it for markup.
                listing.add_row(*map(Text, cells))
            Console().print(listing if rows else "Nobody was erased.")
            return bool(rows)

        found = program.run(show)
        raise SystemExit(1 if request_id is not None and not found else 0)

    return erasures
