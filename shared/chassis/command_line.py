"""What an operator types: `python -m services.portal run`, `migrate`, `dead-letters …`, the same for every service."""

import asyncio
import os
import socket
import sys
import threading
from types import FrameType

import click
import uvicorn

from shared.chassis import telemetry, tracing
from shared.chassis.dead_letter_commands import dead_letter_commands
from shared.chassis.lifecycle import Service
from shared.chassis.program import Program, look_for_garbage_seldom
from shared.chassis.status_command import status_command

REQUEST_STOP_SECONDS = 4
"""How long requests in flight may take to end after a SIGTERM."""

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection is kept: longer than the 60 s of common proxies, so that it is they who hang up. Else
now and then a request is sent into a connection that we are just closing, and is lost."""

LAST_STOP_SECONDS = 19.0
"""After a SIGTERM the process is gone by then, whatever does not come to its end. Supervisors commonly wait 30 s."""


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
        service = program.create_service(settings)
        server = _Server(
            uvicorn.Config(
                program.create_app(service),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=REQUEST_STOP_SECONDS,
                forwarded_allow_ips="",
            ),
            service,
        )
        look_for_garbage_seldom()
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

    commands.add_command(status_command(program))
    commands.add_command(dead_letter_commands(program))
    return commands


class _Server(uvicorn.Server):
    """Uvicorn, but gone LAST_STOP_SECONDS after the first SIGTERM or Ctrl-C, and it waits for no endless answer."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the stop."""
        last = threading.Timer(LAST_STOP_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, in the loop that everything runs in."""
        for farewell in self._service.farewells:
            farewell()
        await super().shutdown(sockets)
