"""`python -m services.portal run | migrate | dead-letters … | erasures | quarantine … | keys … | links …`."""

from collections.abc import Sequence
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from services.portal import queries
from services.portal.app import create_app, create_service
from services.portal.link import AccessLink
from services.portal.replies import restore_reply
from services.portal.settings import Settings
from services.portal.tables import Account, ApiKey, Erasure, Quarantined, Table
from services.portal.ticket import Ticket
from shared.chassis.command_line import command_line
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program
from shared.public_pages.erasure_commands import erasures_command
from shared.public_pages.key_commands import key_commands
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
main.add_command(
    key_commands(program, ApiKey, Account, opens="Keys that open attachments, by HTTP.", platform=True), "keys"
)


@main.group("links")
def links_group() -> None:
    """The links that open a ticket."""


@links_group.command()
@click.argument("account_id")
@click.argument("ticket_id")
def revoke(account_id: str, ticket_id: str) -> None:
    """Let a ticket's links open nothing any more, at once. The next mailed reply carries a new one."""

    async def revoke_links(service: Service) -> None:
        async with service.sessions.begin() as session:
            _, links = await _locked(account_id, ticket_id, session)
            for link in links:
                link.revoke(service.clock())

    program.run(revoke_links)
    click.echo("revoked")


@links_group.command()
@click.argument("account_id")
@click.argument("ticket_id")
def rotate(account_id: str, ticket_id: str) -> None:
    """Replace a ticket's link. The old one goes on for a week; the next mailed reply carries the new one."""

    async def rotate_links(service: Service) -> None:
        async with service.sessions.begin() as session:
            ticket, links = await _locked(account_id, ticket_id, session)
            session.add(service.provided["links"].rotate(links, ticket, service.clock()))

    program.run(rotate_links)
    click.echo("rotated")


async def _locked(account_id: str, ticket_id: str, session: AsyncSession) -> tuple[Ticket, Sequence[AccessLink]]:
    ticket = await session.scalar(queries.ticket_of(account_id, ticket_id))
    if ticket is None:
        raise click.ClickException("no such ticket")
    return ticket, (await session.scalars(queries.links_of(account_id, ticket_id))).all()


if __name__ == "__main__":
    main()
