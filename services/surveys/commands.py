"""What an operator types about surveys that were not sent, a policy to be, and how an account's pages look."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table as Listing
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncSession

from services.surveys import queries
from services.surveys.dry_run import circumstances, outcomes, resolutions_since
from services.surveys.preview import write_pages
from services.surveys.tables import Account
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.language import LANGUAGES, language_tagged

_account = click.argument("account_id", metavar="ACCOUNT")


def survey_commands(program: Program) -> Sequence[click.Command]:
    """Make the commands."""

    @click.command()
    @_account
    @click.option("--since", type=click.DateTime(), help="In UTC, such as 2026-03-01; without it all.")
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many to list.")
    def skipped(account_id: str, since: datetime | None, limit: int) -> None:
        """Show about which resolutions nobody was asked, and why: the sum of each reason, and the newest."""

        async def show(service: Service) -> None:
            async with service.sessions() as session:
                await _account_named(account_id, session)
                begin = since.replace(tzinfo=UTC) if since else datetime.min.replace(tzinfo=UTC)
                rows = (await session.scalars(queries.skipped_since(account_id, begin))).all()
            _print_sums(Counter(row.reason for row in rows))
            _print_rows(
                ("ticket", "version", "requester", "reason", "since (UTC)"),
                ((row.ticket_id, row.resolved_version, row.requester_id, row.reason, row.skipped_at) for row in rows),
                limit,
            )

        program.run(show)

    @click.command("dry-run")
    @_account
    @click.option("--days", default=7, show_default=True, type=click.IntRange(1, 365), help="How far to look back.")
    @click.option("--enabled/--disabled", default=None)
    @click.option("--delay-hours", type=int)
    @click.option("--days-between", type=int)
    @click.option("--sample-percent", type=int)
    @click.option("--only-after-reply/--without-reply", default=None)
    @click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many to list.")
    def dry_run(account_id: str, days: int, limit: int, **given: Any) -> None:
        """Tell who would have been asked lately, by the account's policy but for what is given here. Reads only."""

        async def tell(service: Service) -> None:
            since = service.clock() - timedelta(days=days)
            async with service.sessions() as session:
                account = await _account_named(account_id, session)
                resolutions = await resolutions_since(since, account_id, session)
                known = await circumstances(resolutions, since, account_id, session)
            try:
                policy = replace(account.survey_policy, **{k: v for k, v in given.items() if v is not None})
            except ValueError as wrong:
                raise click.UsageError(str(wrong)) from None
            decided = list(outcomes(policy, resolutions, known))
            _print_sums(Counter(outcome for _, outcome in decided))
            _print_rows(
                ("ticket", "version", "requester", "outcome", "resolved at (UTC)"),
                ((one.ticket_id, one.version, one.requester_id, what, one.resolved_at) for one, what in decided[::-1]),
                limit,
            )

        program.run(tell)

    @click.command()
    @_account
    @click.option("--language", "tag", default="en", show_default=True, help=f"One of {', '.join(sorted(LANGUAGES))}.")
    @click.option("--folder", default=".", show_default=True, type=click.Path(file_okay=False, path_type=Path))
    def preview(account_id: str, tag: str, folder: Path) -> None:
        """Write an account's pages as files, to be looked at in a browser. For emails see the notifier."""
        language = language_tagged(tag)
        if language is None:
            raise click.UsageError(f"{tag} is none of {', '.join(sorted(LANGUAGES))}")

        async def write(service: Service) -> None:
            async with service.sessions() as session:
                account = await _account_named(account_id, session)
                await session.refresh(account, ["logo"])
            for file in write_pages(account, language, folder, service.clock()):
                click.echo(file)

        program.run(write)

    return skipped, dry_run, preview


async def _account_named(account_id: str, session: AsyncSession) -> Account:
    account = await session.get(Account, account_id)
    if account is None:
        raise click.ClickException(f"Nobody has told of an account {account_id}.")
    return account


def _print_sums(sums: Counter[Any]) -> None:
    listing = Listing("outcome", "resolutions")
    for outcome, count in sums.most_common():
        listing.add_row(str(outcome), f"{count:,}")
    Console().print(listing if sums else "Nothing was resolved.")


def _print_rows(heads: Sequence[str], rows: Iterable[tuple[Any, ...]], limit: int) -> None:
    rows = list(rows)
    listing = Listing(*heads)
    for *cells, moment in rows[:limit]:
        # Text: an id is shown as it is, also where Rich would take a part of it for markup.
        listing.add_row(*(Text("" if cell is None else str(cell)) for cell in cells), f"{moment:%Y-%m-%d %H:%M}")
    if rows:
        Console().print(listing)
    if len(rows) > limit:
        Console().print(f"… and {len(rows) - limit:,} more")
