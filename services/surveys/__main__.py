"""`python -m services.surveys run | migrate | dead-letters … | erasures | quarantine … | skipped | dry-run | …`."""

from pathlib import Path

from services.surveys.app import create_app, create_service
from services.surveys.commands import survey_commands
from services.surveys.ratings import restore_rating
from services.surveys.settings import Settings
from services.surveys.tables import Erasure, Quarantined, Table
from shared.chassis.command_line import command_line
from shared.chassis.program import Program
from shared.public_pages.erasure_commands import erasures_command
from shared.public_pages.quarantine_commands import quarantine_commands

program = Program(
    name="surveys",
    settings=Settings,
    create_service=create_service,
    create_app=create_app,
    metadata=Table.metadata,
    versions=Path(__file__).parent / "migrations",
)
main = command_line(program)
main.add_command(erasures_command(program, Erasure))
main.add_command(quarantine_commands(program, Quarantined, restore_rating))
for command in survey_commands(program):
    main.add_command(command)

if __name__ == "__main__":
    main()
