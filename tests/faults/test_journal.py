"""What was done is known whatever happens to who did it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.faults.journal import Journal, Operation, operations_in

ROOT = Path(__file__).parents[2]
WRITER = """
import asyncio, os, signal, sys
from pathlib import Path
from tests.faults.journal import Journal, Operation

async def main():
    journal = Journal(Path(sys.argv[1]))
    for number in range(3):
        operation = Operation(f"f1-{number}", "reply", "a", "t")
        await journal.invoked(operation)
        if number < 2:
            await journal.ended(operation, "ok")
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_invoked_is_known_after_the_harness_was_killed(tmp_path: Path) -> None:
    """An operation without an end is unknown: it may have had its effect."""
    path = tmp_path / "journal.jsonl"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), env={**os.environ, "PYTHONPATH": str(ROOT)}
    )

    assert await process.wait() == -signal.SIGKILL

    outcomes = {id_: operation.outcome for id_, operation in operations_in(path, "f1").items()}
    assert outcomes == {"f1-0": "ok", "f1-1": "ok", "f1-2": "unknown"}


async def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    """What had not been written when the power failed had not been done either."""
    journal = Journal(tmp_path / "journal.jsonl")
    await journal.invoked(Operation("f1-1", "rate", "a", "t"))
    await journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"operation": {"id": "f1-2", "ki')

    assert list(operations_in(journal.path, "f1")) == ["f1-1"]


async def test_a_row_has_its_own_operations_only(tmp_path: Path) -> None:
    """f1 and f10 are two rows."""
    journal = Journal(tmp_path / "journal.jsonl")
    for id_ in ("f1-1", "f10-1"):
        await journal.invoked(Operation(id_, "rate", "a", "t"))
    await journal.nemesis("kill", service="portal")
    await journal.close()

    assert list(operations_in(journal.path, "f1")) == ["f1-1"]
