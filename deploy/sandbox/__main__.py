"""`python -m deploy.sandbox`: start everything, print one address, stop everything on Ctrl-C."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from deploy.postgres.embedded import EmbeddedPostgres
from deploy.sandbox.layout import Layout, NotStarted
from deploy.sandbox.supervisor import Supervisor, is_running

FOLDER = Path(os.environ.get("SANDBOX_FOLDER") or Path(__file__).parents[2] / ".sandbox")


def main() -> int:
    """Run until Ctrl-C or SIGTERM. 1 when something cannot start."""
    parser = argparse.ArgumentParser(prog="python -m deploy.sandbox", description=__doc__)
    parser.add_argument("--reset", action="store_true", help="delete the sandbox's data and stop")
    arguments = parser.parse_args()
    if arguments.reset:
        return _reset()
    supervisor = Supervisor(Layout(FOLDER, os.environ))
    try:
        asyncio.run(supervisor.run())
    except NotStarted as reason:
        print(f"\n{reason}", file=sys.stderr)
        return 1
    return 0


def _reset() -> int:
    if os.environ.get("DATABASE_URL"):
        print("DATABASE_URL is set: drop the databases portal, surveys, notifier, reports and desk there yourself.")
        return 1
    if is_running(FOLDER):
        print("The sandbox is running. Stop it first.", file=sys.stderr)
        return 1
    EmbeddedPostgres(FOLDER / "postgres").destroy()
    for path in sorted(FOLDER.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    print("The sandbox is empty. `make sandbox` starts afresh.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
