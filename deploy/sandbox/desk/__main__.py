"""`python -m deploy.sandbox.desk run | migrate`."""

from deploy.sandbox.desk.app import FOLDER, create_app, create_service
from deploy.sandbox.desk.settings import Settings
from deploy.sandbox.desk.tables import Table
from shared.chassis.command_line import command_line
from shared.chassis.program import Program

main = command_line(
    Program(
        name="desk",
        settings=Settings,
        create_service=create_service,
        create_app=create_app,
        metadata=Table.metadata,
        versions=FOLDER / "migrations",
    )
)

if __name__ == "__main__":
    main()
