"""`python -m services.notifier`."""

from pathlib import Path

from services.notifier.app import create_app, create_service
from services.notifier.settings import Settings
from services.notifier.tables import Table
from shared.chassis.command_line import command_line
from shared.chassis.program import Program

command_line(
    Program(
        name="notifier",
        settings=Settings,
        create_service=create_service,
        create_app=create_app,
        metadata=Table.metadata,
        versions=Path(__file__).parent / "migrations",
    )
)()
