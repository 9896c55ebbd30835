"""`python -m services.notifier run | migrate | dead-letters … | erasures | suppressions … | bounce | preview`."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table as Listing
from rich.text import Text
from sqlalchemy import delete, func

from services.notifier import bounces, queries
from services.notifier.app import create_app, create_service
from services.notifier.preview import write_letters
from services.notifier.settings import Settings
from services.notifier.tables import Account, Erasure, Suppression, Table
from shared.chassis.command_line import command_line
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.erasure_commands import erasures_command
from shared.public_pages.language import LANGUAGES, language_tagged

program = Program(
    name="notifier",
    settings=Settings,
    create_service=create_service,
    create_app=create_app,
    metadata=Table.metadata,
    versions=Path(__file__).parent / "migrations",
)
main = command_line(program)
main.add_command(erasures_command(program, Erasure))


@main.group()
def suppressions() -> None:
    """Addresses that are not written to.

    A mail server said that they do not exist. An account's further emails to them fail without being tried.
    """


@suppressions.command("list")
def list_() -> None:
    """Show them, oldest first, with what the server said."""

    async def show(service: Service) -> None:
        async with service.sessions() as session:
            rows = (await session.scalars(queries.suppressions())).all()
        listing = Listing("account", "address", "server said", "since (UTC)")
        for row in rows:
            # Text: an address is shown as it is, also where Rich would take a part of it for markup.
            since = f"{row.suppressed_at:%Y-%m-%d %H:%M}"
            listing.add_row(*(Text(cell) for cell in (row.account_id, row.address, row.code, since)))
        Console().print(listing if rows else "No suppressed addresses.")

    program.run(show)


@suppressions.command()
@click.argument("address")
@click.option("--account", "account_id", metavar="ACCOUNT", help="For this account only; without it for all.")
def lift(address: str, account_id: str | None) -> None:
    """Write to ADDRESS again, from the next email on. What failed before stays failed."""

    async def drop(service: Service) -> None:
        named = Suppression.address == func.lower(address)
        chosen = named if account_id is None else named & (Suppression.account_id == account_id)
        async with service.sessions.begin() as session:
            lifted = (await session.scalars(delete(Suppression).where(chosen).returning(Suppression.account_id))).all()
        if not lifted:
            raise click.ClickException(f"{address} is not suppressed; see suppressions list.")
        click.echo(f"{address} is written to again by {', '.join(sorted(lifted))}")

    program.run(drop)


@main.command(
    epilog="""\b
Exit code:
  0   it counts, or counted before
  65  it does not count and nothing changed: a delay, an answer, somebody
      else's, or no notification at all
  75  nothing could be done now, such as while the database is down:
      keep it and try again"""
)
def bounce() -> None:
    """Take one email that came back, from standard input.

    That is a delivery status notification (RFC 3464), as a mail server pipes it or a mailbox fetcher hands it over.
    """
    raw = sys.stdin.buffer.read(bounces.LONGEST + 1)

    async def take(service: Service) -> None:
        sender = Settings.from_environment().mail_from
        async with service.sessions.begin() as session:
            told = await bounces.take(raw, session, sender, service.clock())
        click.echo(told)

    try:
        program.run(take)
    except bounces.NotCounted as reason:
        click.echo(f"Not counted: {reason}.", err=True)
        sys.exit(os.EX_DATAERR)
    except Exception as failure:  # noqa: BLE001 - whatever it is, the notification is not lost by it
        click.echo(f"Try again: {type(failure).__name__}.", err=True)
        sys.exit(os.EX_TEMPFAIL)
    except SystemExit as wrong_settings:
        click.echo(wrong_settings.code, err=True)
        sys.exit(os.EX_TEMPFAIL)


@main.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--language", "tag", default="en", show_default=True, help=f"One of {', '.join(sorted(LANGUAGES))}.")
@click.option("--folder", default=".", show_default=True, type=click.Path(file_okay=False, path_type=Path))
def preview(account_id: str, tag: str, folder: Path) -> None:
    """Write an account's emails as files, to be looked at in a browser. `services.surveys preview` has the pages."""
    language = language_tagged(tag)
    if language is None:
        raise click.UsageError(f"{tag} is none of {', '.join(sorted(LANGUAGES))}")

    async def write(service: Service) -> None:
        async with service.sessions() as session:
            account = await session.get(Account, account_id)
            if account is None:
                raise click.ClickException(f"Nobody has told of an account {account_id}.")
            await session.refresh(account, ["logo"])
        sender = Settings.from_environment().mail_from
        for file in write_letters(account, language, folder, sender, service.clock()):
            click.echo(file)

    program.run(write)


if __name__ == "__main__":
    main()
