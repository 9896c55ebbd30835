"""`python -m services.surveys run | migrate | dead-letters …`."""

from pathlib import Path

from services.surveys.app import create_app, create_service
from services.surveys.settings import Settings
from services.surveys.tables import Table
from shared.chassis.command_line import command_line
from shared.chassis.program import Program

main = command_line(
    Program(
        name="surveys",
        settings=Settings,
        create_service=create_service,
        create_app=create_app,
        metadata=Table.metadata,
        versions=Path(__file__).parent / "migrations",
    )
)

if __name__ == "__main__":
    main()
