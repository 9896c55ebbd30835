"""`python -m services.portal run | migrate | dead-letters … | erasures | quarantine … | revoke-link`."""

from pathlib import Path

import click

from services.portal import queries
from services.portal.app import create_app, create_service
from services.portal.replies import restore_reply
from services.portal.settings import Settings
from services.portal.tables import Erasure, Quarantined, Table
from shared.chassis.command_line import command_line
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.erasure_commands import erasures_command
from shared.public_pages.quarantine_commands import quarantine_commands

program = Program(
    name="portal",
    settings=Settings,
    create_service=create_service,
    create_app=create_app,
    metadata=Table.metadata,
    versions=Path(__file__).parent / "migrations",
)
main = command_line(program)
main.add_command(erasures_command(program, Erasure))
main.add_command(quarantine_commands(program, Quarantined, restore_reply))


@main.command("revoke-link")
@click.argument("account_id")
@click.argument("ticket_id")
def revoke_link(account_id: str, ticket_id: str) -> None:
    """Let a ticket's link open nothing any more. The next mailed reply carries a new one."""

    async def revoke(service: Service) -> None:
        async with service.sessions.begin() as session:
            await session.scalar(queries.ticket_of(account_id, ticket_id))
            links = (await session.scalars(queries.links_of(account_id, ticket_id))).all()
            for link in links:
                link.revoke(service.clock())
        if not links:
            raise click.ClickException("no such ticket")
        click.echo("revoked")

    program.run(revoke)


if __name__ == "__main__":
    main()
