"""What was done and how it ended, on disk before it is done: a crash of the harness loses no operation.

One JSON object a line. An operation has a line when it is invoked and one when it ends; one without an end is unknown.
What the nemesis does stands between them, so that a journal reads as the run's history.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["create", "answer", "update", "resolve", "reply", "rate"]
Outcome = Literal["ok", "fail", "unknown"]
"""`fail` is certain to have had no effect. `unknown`: a time-out or a cut connection, so none or one."""


@dataclass(slots=True)
class Operation:
    """One thing that the help desk or a requester did. Its id travels through the whole product in a text."""

    id: str
    kind: Kind
    account_id: str
    ticket_id: str
    version: int = 0  # of the ticket; requesters count none
    score: int = 0
    invoked_at: float = 0.0
    ended_at: float = 0.0
    outcome: Outcome = "unknown"
    reason: str = ""

    @property
    def mark(self) -> str:
        """What its text holds."""
        return f"op:{self.id}"


class Journal:
    """Appends to a file. When a method returns, what it wrote is on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def invoked(self, operation: Operation) -> None:
        """Note that an operation is about to be done."""
        operation.invoked_at = time.time()
        await self._append({"operation": asdict(operation)})

    async def ended(self, operation: Operation, outcome: Outcome, reason: str = "") -> None:
        """Note how it ended."""
        operation.ended_at, operation.outcome, operation.reason = time.time(), outcome, reason
        ended = {"id": operation.id, "outcome": outcome, "reason": reason, "ended_at": operation.ended_at}
        await self._append({"ended": ended})

    async def nemesis(self, deed: str, **facts: Any) -> None:
        """Note what is done to the product."""
        await self._append({"nemesis": deed, "at": time.time(), **facts})

    async def close(self) -> None:
        """Write what is left."""
        while self._waiting or self._writer:
            await asyncio.sleep(0.01)
        self._file.close()

    async def _append(self, entry: dict[str, Any]) -> None:
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(entry).encode() + b"\n", written))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await written

    async def _write(self) -> None:
        """Write what waits, all of it with one fsync, for as long as something waits."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write_through, b"".join(line for line, _ in batch))
            for _, written in batch:
                if not written.done():
                    written.set_result(None)
        self._writer = None

    def _write_through(self, lines: bytes) -> None:
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())


def operations_in(path: Path, row: str) -> dict[str, Operation]:
    """Read a row's operations from a journal, also one whose last line was cut off by a crash."""
    found: dict[str, Operation] = {}
    for entry in _entries(path.read_bytes().splitlines(keepends=True)):
        facts = entry.get("operation") or entry.get("ended") or {"id": ""}
        if not facts["id"].startswith(f"{row}-"):
            continue
        if "operation" in entry:
            found[facts["id"]] = Operation(**facts)
        else:
            operation = found[facts["id"]]
            operation.outcome, operation.reason = facts["outcome"], facts["reason"]
            operation.ended_at = facts["ended_at"]
    return found


def _entries(lines: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    return (json.loads(line) for line in lines if line.endswith(b"\n"))
