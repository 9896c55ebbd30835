"""`keys create | list | revoke`: what an operator does with the keys of a service's API."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.api_keys import ApiKeyColumns, new_key
from shared.public_pages.branding import BrandedAccount

EVERY = "every account"


def key_commands(
    program: Program,
    table: type[ApiKeyColumns],
    accounts: type[BrandedAccount],
    *,
    opens: str,
    platform: bool = False,
    narrowed_by: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
) -> click.Group:
    """Make the commands. `opens` says what a key opens; with `platform` there are keys to every account.

    `narrowed_by` are options for columns of `table` that make a key open less, by column.
    """

    @click.group(help=opens)
    def keys() -> None:
        pass

    options: list[Any] = [
        click.argument("account_id", metavar="ACCOUNT", required=not platform),
        click.option("--name", required=True, help="What the key is for, such as the wall in the support room."),
    ]
    if platform:
        options.append(click.option("--platform", "every", is_flag=True, help="Of every account, not of one."))
    options += narrowed_by.values()

    def create(name: str, account_id: str | None = None, *, every: bool = False, **narrowed: Any) -> None:
        """Make a key and print it, the only time it is shown."""
        if every == bool(account_id):
            raise click.UsageError("name an account, or say --platform")

        async def make(service: Service) -> None:
            async with service.sessions.begin() as session:
                if account_id and await session.get(accounts, account_id) is None:
                    raise click.ClickException(
                        f"No account {account_id} is known yet; account.updated tells of accounts."
                    )
                row, key = new_key(table, name, service.clock(), account_id=account_id, **narrowed)
                session.add(row)
            click.echo(key)

        program.run(make)

    command: Any = create
    for option in options:
        command = option(command)
    keys.command("create")(command)

    @keys.command("list")
    def list_() -> None:
        """Show each key's id, account, name and age, oldest first. Not the key itself: nobody has it any more."""

        async def show(service: Service) -> None:
            async with service.sessions() as session:
                rows: Sequence[Any] = (
                    await session.scalars(select(table).order_by(table.created_at, table.key_id))
                ).all()
            headings = (column.removesuffix("_id") for column in narrowed_by)
            listing = Table("id", "account", "name", *headings, "created at (UTC)", "revoked at (UTC)")
            for row in rows:
                revoked = f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else ""
                opened = row.account_id or EVERY
                narrowed = (_written(getattr(row, column)) for column in narrowed_by)
                listing.add_row(row.key_id, opened, row.name, *narrowed, f"{row.created_at:%Y-%m-%d %H:%M}", revoked)
            Console().print(listing if rows else "No keys.")

        program.run(show)

    @keys.command()
    @click.argument("key_id", metavar="ID")
    def revoke(key_id: str) -> None:
        """Make a key open nothing, from the next request on."""

        async def end(service: Service) -> None:
            async with service.sessions.begin() as session:
                row = await session.get(table, key_id)
                if row is None:
                    raise click.ClickException(f"There is no key {key_id}.")
                row.revoked_at = row.revoked_at or service.clock()
            click.echo(f"{key_id} is revoked")

        program.run(end)

    return keys


def _written(value: str | list[str] | None) -> str:
    return ", ".join(value) if isinstance(value, list) else value or ""
