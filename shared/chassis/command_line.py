"""What an operator types: `python -m services.portal run`, `migrate`, `dead-letters …`, the same for every service."""

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import uvicorn
from litestar import Litestar
from rich.console import Console
from rich.table import Table
from sqlalchemy import MetaData, delete, func, select

from shared.chassis import telemetry, tracing
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.lifecycle import Service
from shared.chassis.settings import Settings

REQUEST_STOP_SECONDS = 4
"""How long requests in flight may take to end after a SIGTERM."""

LAST_STOP_SECONDS = 19.0
"""After a SIGTERM the process is gone by then, whatever does not come to its end. Supervisors commonly wait 30 s."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the command line needs to know of a service."""

    name: str
    settings: type[Settings]
    create_service: Callable[..., Service]
    create_app: Callable[[Service], Litestar]
    metadata: MetaData
    versions: Path

    def run(self, work: Callable[[Service], Awaitable[None]]) -> None:
        """Do a command's work with the service of the environment, which neither consumes nor publishes meanwhile."""

        async def run() -> None:
            service = self.create_service(self.settings.from_environment())
            try:
                await work(service)
            finally:
                await service.engine.dispose()

        asyncio.run(run())


def command_line(program: Program) -> click.Group:
    """Make the commands of one service."""

    @click.group(help=f"closeloop {program.name}. Settings come from the environment; see the service's README.")
    def commands() -> None:
        pass

    @commands.command()
    def run() -> None:
        """Serve pages and events until SIGTERM or Ctrl-C."""
        settings = program.settings.from_environment()
        telemetry.log_as_json(program.name, settings.log_level)
        tracing.configure(program.name)
        server = _Server(
            uvicorn.Config(
                program.create_app(program.create_service(settings)),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=REQUEST_STOP_SECONDS,
                forwarded_allow_ips="",
            )
        )
        server.run()
        if not server.started:
            sys.exit("did not start")

    @commands.command()
    def migrate() -> None:
        """Bring the database to the newest schema."""
        settings = program.settings.from_environment()
        from shared.chassis import migrations  # noqa: PLC0415 - Alembic takes half a second to load

        asyncio.run(migrations.migrate(settings.database_url, program.versions))

    @commands.command()
    @click.argument("message")
    def revise(message: str) -> None:
        """Write a migration from the database (migrated so far) to the tables in the code."""
        settings = program.settings.from_environment()
        from shared.chassis import migrations  # noqa: PLC0415 - Alembic takes half a second to load

        asyncio.run(migrations.revise(settings.database_url, program.versions, program.metadata, message))

    commands.add_command(_dead_letters(program))
    return commands


class _Server(uvicorn.Server):
    """Uvicorn, but gone LAST_STOP_SECONDS after the first SIGTERM or Ctrl-C."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the stop."""
        last = threading.Timer(LAST_STOP_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)


def _dead_letters(program: Program) -> click.Group:
    @click.group("dead-letters")
    def dead_letters() -> None:
        """Records that could not have their effect."""

    @dead_letters.command("list")
    def list_() -> None:
        """Show each letter's place, reason and age, oldest first."""

        async def show(service: Service) -> None:
            async with service.sessions() as session:
                letters = (await session.scalars(select(DeadLetter).order_by(DeadLetter.id))).all()
            table = Table("id", "topic", "partition", "offset", "tries", "died at (UTC)", "reason")
            for letter in letters:
                table.add_row(
                    str(letter.id),
                    letter.topic,
                    str(letter.partition),
                    str(letter.offset),
                    str(letter.attempts),
                    f"{letter.died_at:%Y-%m-%d %H:%M:%S}",
                    letter.reason,
                )
            Console().print(table if letters else "No dead letters.")

        program.run(show)

    @dead_letters.command()
    @click.argument("ids", nargs=-1, type=int)
    @click.option("--all", "everything", is_flag=True, help="Replay every letter.")
    def replay(ids: tuple[int, ...], *, everything: bool) -> None:
        """Run letters through the handler again, here only: nothing is published anew."""
        if not ids and not everything:
            raise click.UsageError("name letters by id, or say --all")

        async def again(service: Service) -> None:
            async with service.sessions() as session:
                chosen = select(DeadLetter).order_by(DeadLetter.id)
                letters = (await session.scalars(chosen if everything else chosen.where(DeadLetter.id.in_(ids)))).all()
            for letter in letters:
                outcome = "replayed"
                try:
                    async with service.sessions.begin() as session:
                        await service.consumers.by_topic[letter.topic].run_letter(session, letter)
                except Exception as failure:  # noqa: BLE001 - told to the operator, the letter stays
                    outcome = f"failed again: {type(failure).__name__}: {failure}"
                click.echo(f"{letter.id} {letter.topic} {outcome}")
            click.echo(f"{len(letters)} letters")

        program.run(again)

    @dead_letters.command()
    @click.argument("ids", nargs=-1, type=int, required=True)
    @click.confirmation_option(prompt="What these letters hold is lost for this service. Go on?")
    def purge(ids: tuple[int, ...]) -> None:
        """Delete letters for good."""

        async def drop(service: Service) -> None:
            async with service.sessions.begin() as session:
                await session.execute(delete(DeadLetter).where(DeadLetter.id.in_(ids)))
                left = await session.scalar(select(func.count()).select_from(DeadLetter))
            click.echo(f"{left} letters left")

        program.run(drop)

    return dead_letters
