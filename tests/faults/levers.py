"""The harness' side of launcher.py: what a running replica is to do, in a file that it looks at."""

import json
from pathlib import Path
from typing import Any


class Levers:
    """The levers of one replica. They stay as they are set when it is started again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._set: dict[str, Any] = {}

    def crash_at(self, point: str, passage: int) -> None:
        """Have the replica end at the given passage of a point from now. Its next process lives."""
        self._write(halt={"point": point, "passage": passage, "how": "crash"})

    def stop_at(self, point: str, passage: int) -> None:
        """Have the replica fall asleep, as by SIGSTOP, at the given passage of a point from now."""
        self._write(halt={"point": point, "passage": passage, "how": "stop"})

    @property
    def reached(self) -> bool:
        """Whether the replica has come to the point."""
        return "halt" in self._set and not self.path.exists()

    def shift_clock(self, seconds: float) -> None:
        """Set the replica's clock ahead, or back."""
        self._write(clock=seconds)

    def break_key(self, key: str) -> None:
        """Have every handler fail for the events of a key."""
        self._write(**{"broken key": key})

    def release(self) -> None:
        """Let the replica be as it is in production."""
        self._set = {}
        self.path.unlink(missing_ok=True)

    def _write(self, **levers: Any) -> None:
        if self.reached:
            del self._set["halt"]
        self._set |= levers
        unfinished = self.path.with_suffix(".new")
        unfinished.write_text(json.dumps(self._set))
        unfinished.rename(self.path)
