"""`python -m services.reports run | migrate | dead-letters … | erasures | keys … | verify | rebuild`."""

from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import click
from sqlalchemy.exc import DBAPIError

from services.reports import terminal, verification
from services.reports.api_keys import SCOPES
from services.reports.app import create_app, create_service
from services.reports.event_log import LogUnusable
from services.reports.formats import counted
from services.reports.settings import Settings
from services.reports.shadow import NotOurs
from services.reports.tables import Account, ApiKey, Erasure, Table
from shared.chassis import telemetry
from shared.chassis.command_line import command_line
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.erasure_commands import erasures_command
from shared.public_pages.key_commands import key_commands

program = Program(
    name="reports",
    settings=Settings,
    create_service=create_service,
    create_app=create_app,
    metadata=Table.metadata,
    versions=Path(__file__).parent / "migrations",
)
main = command_line(program)
main.add_command(erasures_command(program, Erasure))
main.add_command(
    key_commands(
        program,
        ApiKey,
        Account,
        opens="Keys that open the reports of one account.",
        narrowed_by={
            "scopes": click.option(
                "--scope",
                "scopes",
                multiple=True,
                type=click.Choice(SCOPES),
                default=SCOPES,
                help="What it opens: figures, responses, or both, as without this. May be repeated.",
            ),
            "agent_id": click.option("--agent", "agent_id", help="Open what is this agent's alone, by id."),
        },
    ),
    "keys",
)


@main.command()
@click.option("--account", "only", metavar="ACCOUNT", help="Compare this account alone.")
@click.option("--repair", is_flag=True, help="Then count those accounts anew that differ; their events wait for it.")
def verify(only: str | None, *, repair: bool) -> None:
    """Compare what reports add up with the ratings, day by day. Exit code 1: they differ.

    Everything is compared as it was at one moment; events may come in meanwhile.
    """

    async def agrees(service: Service) -> bool:
        days = 0
        found: list[verification.Difference] = []
        async with verification.snapshot(service.engine) as connection:
            accounts = await verification.accounts(connection)
            if only is not None and only not in accounts:
                raise click.ClickException(f"No account {only} is known.")
            accounts = accounts if only is None else [only]
            with terminal.watched() as tell:
                for done, account_id in enumerate(accounts):
                    tell("Comparing", done, len(accounts), "accounts")
                    days += await verification.days(connection, account_id)
                    found += await verification.differences(connection, account_id)
        if not found:
            click.echo(f"{counted(days, 'day', 'days')} of {counted(len(accounts), 'account', 'accounts')} agree.")
            return True
        _show_differences(found)
        different = sorted({difference.account_id for difference in found})
        wrong = len({(difference.account_id, difference.day) for difference in found})
        click.echo(f"{counted(wrong, 'day', 'days')} of {counted(len(different), 'account', 'accounts')} differ.")
        for account_id in different if repair else ():
            async with service.sessions.begin() as session:
                await verification.recount(session, account_id)
            click.echo(f"{account_id} is counted anew.")
        return repair

    raise SystemExit(0 if program.run(agrees) else 1)


@main.command()
@click.option(
    "--dry-run", is_flag=True, help="Swap nothing, tell the differences instead. Exit code 1: there are some."
)
@click.option("--restart", is_flag=True, help="Forget what an interrupted rebuild has done.")
@click.option("--accept-truncated-log", is_flag=True, help="Do without records that Kafka has deleted.")
@click.option("--accept-dead-letters", is_flag=True, help="Do without records that have no effect any more.")
def rebuild(*, dry_run: bool, **choices: bool) -> None:
    """Make ratings and rollup anew from Kafka's log and put them in the place of the old ones.

    Pages are read and events are taken meanwhile. Stopped or killed, it goes on where it was when it is run again.
    """
    from services.reports import rebuild as making  # noqa: PLC0415 - Alembic takes half a second to load

    telemetry.log_as_json(program.name, "CRITICAL")  # a line for each record that waits would tear the bar apart

    async def done(service: Service) -> bool:
        try:
            with terminal.watched() as tell:
                async with making.rebuilding(service, making.Choices(**choices), tell) as rebuild:
                    await rebuild.fill()
                    sizes = [] if dry_run else await rebuild.swap()
                    comparison = await rebuild.compare() if dry_run else []
        except making.LettersLost as lost:
            letters = [(each.topic, each.partition, each.offset, each.reason) for each in lost.letters]
            terminal.show(("topic", "partition", "offset", "reason"), letters)
            raise click.ClickException(str(lost)) from None
        except making.RollupDisagrees as wrong:
            _show_differences(wrong.differences)
            raise click.ClickException(str(wrong)) from None
        except (making.Refused, LogUnusable, NotOurs) as reason:
            raise click.ClickException(str(reason)) from None
        except DBAPIError as failure:
            # asyncpg has what PostgreSQL says beyond the first line, such as which view depends on a table.
            said = failure.orig, getattr(getattr(failure.orig, "__cause__", None), "detail", None)
            said = ". ".join(str(line) for line in said if line)
            raise click.ClickException(f"{said}. Mend that and run it again: it goes on.") from None
        if sizes:
            terminal.show(("table", "rows before", "rows now"), [astuple(each) for each in sizes])
            return True
        columns = ("table", "rows live", "rows rebuilt", "only live", "only rebuilt")
        terminal.show(columns, [astuple(each) for each in comparison])
        return not any(each.only_live or each.only_rebuilt for each in comparison)

    raise SystemExit(0 if program.run(done) else 1)


def _show_differences(found: Sequence[verification.Difference]) -> None:
    """Print where the rollups and the ratings disagree."""
    terminal.show(("account", "day", "whose", "what", "rollup", "ratings"), [astuple(each) for each in found])


if __name__ == "__main__":
    main()
