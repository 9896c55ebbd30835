"""`quarantine list | show | restore | purge`: what an operator does with submissions that were put aside."""

from functools import partial
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import delete, func, select

from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.quarantine import NotRestored, QuarantinedColumns, Restore

Held = type[QuarantinedColumns]

_id = click.argument("id_", type=click.UUID, metavar="ID")


def quarantine_commands(program: Program, table: Held, restore_one: Restore) -> click.Group:
    """Make the commands. `restore_one` gives a submission the effects it would have had."""

    @click.group()
    def quarantine() -> None:
        """Submissions that look like a robot's. They are dropped after 30 days."""

    @quarantine.command("list")
    @click.option("--account", "account_id", help="Only of this account.")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many to show.")
    def list_(account_id: str | None, limit: int) -> None:
        """Show what was put aside and not restored, newest first."""
        program.run(partial(_list, table=table, account_id=account_id, limit=limit))

    @quarantine.command()
    @_id
    def show(id_: UUID) -> None:
        """Show one submission whole."""
        program.run(partial(_show, table=table, id_=id_))

    @quarantine.command()
    @_id
    def restore(id_: UUID) -> None:
        """Let a submission have its effects after all, once."""
        program.run(partial(let_in, table=table, id_=id_, restore_one=restore_one))
        click.echo("restored")

    @quarantine.command()
    @click.argument("ids", nargs=-1, type=click.UUID, metavar="[ID]...")
    @click.option("--all", "everything", is_flag=True, help="Everything.")
    @click.confirmation_option(prompt="What is purged cannot be restored. Go on?")
    def purge(ids: tuple[UUID, ...], *, everything: bool) -> None:
        """Delete submissions for good."""
        if not (ids or everything):
            raise click.UsageError("name submissions by id, or say --all")
        gone = program.run(partial(_purge, table=table, ids=None if everything else ids))
        click.echo(f"{gone:,} purged")

    return quarantine


async def _list(service: Service, *, table: Held, account_id: str | None, limit: int) -> None:
    chosen = select(table).filter_by(restored_at=None)
    if account_id is not None:
        chosen = chosen.filter_by(account_id=account_id)
    async with service.sessions() as session:
        held = (await session.scalars(chosen.order_by(table.received_at.desc()).limit(limit))).all()
        count = await session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
    listing = Table("id", "account", "about", "reason", "received at (UTC)", "begins")
    for row in held:
        begins = " ".join(" ".join(row.form.values()).split())[:60]
        cells = (str(row.quarantine_id), row.account_id, row.about, row.reason, _time(row), begins)
        # Text: what somebody wrote is shown as it is, also where Rich would take a part of it for markup.
        listing.add_row(*(Text(_printable(cell)) for cell in cells))
    console = Console()
    console.print(listing if held else "Nothing is quarantined.")
    if count > len(held):
        console.print(f"… and {count - len(held):,} more")


async def _show(service: Service, *, table: Held, id_: UUID) -> None:
    async with service.sessions() as session:
        row = await session.get(table, id_)
    if row is None:
        raise _nothing(id_)
    facts = {"account": row.account_id, "about": row.about, "reason": row.reason, "received at": _time(row)}
    if row.restored_at:
        facts["restored at"] = f"{row.restored_at:%Y-%m-%d %H:%M:%S}"
    for name, value in {**facts, **row.form}.items():
        click.echo(f"{name:<16}{_printable(value)}")


async def let_in(service: Service, *, table: Held, id_: UUID, restore_one: Restore) -> None:
    """Give a submission the effects it would have had. Raises ClickException when it had them, or cannot."""
    now = service.clock()
    async with service.sessions.begin() as session:
        row = await session.get(table, id_, with_for_update=True)
        if row is None:
            raise _nothing(id_)
        if row.restored_at:
            raise click.ClickException(f"It was restored before, at {row.restored_at:%Y-%m-%d %H:%M:%S}.")
        try:
            await restore_one(row, session, now)
        except NotRestored as refused:
            raise click.ClickException(str(refused)) from None
        row.restored_at = now


async def _purge(service: Service, *, table: Held, ids: tuple[UUID, ...] | None) -> int:
    chosen: Any = delete(table).returning(table.quarantine_id)
    if ids is not None:
        chosen = chosen.where(table.quarantine_id.in_(ids))
    async with service.sessions.begin() as session:
        return len((await session.scalars(chosen)).all())


def _nothing(id_: UUID) -> click.ClickException:
    return click.ClickException(f"There is nothing quarantined as {id_}.")


def _time(row: QuarantinedColumns) -> str:
    return f"{row.received_at:%Y-%m-%d %H:%M:%S}"


def _printable(text: str) -> str:
    """What a stranger wrote must not steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
