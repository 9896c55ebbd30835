"""A server as a child process that never outlives its owner. POSIX only."""

# Starting programs is what this module is for.
# ruff: noqa: S603, S607

import contextlib
import os
import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

_given: set[int] = set()


class ServerProcess:
    """A running server; everything it prints is appended to `log`.

    It has its own session: Ctrl-C in a terminal reaches the owner alone, who can stop servers in order.
    When the owner dies without stopping it, even by SIGKILL, the server gets `last_signal`.
    With `user`, which only root can choose, it runs as that user.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        last_signal: signal.Signals,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._name = Path(command[0]).name
        self._log = log
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                start_new_session=True,
                **identity(user),
            )
        # The watcher reads a pipe that only we hold: it goes on when we end, whatever ended us. Linux's own
        # signal for a parent's death would come when the *thread* that started the server ends.
        self._watcher = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -s "$0" "$1"', last_signal.name[3:], str(self._server.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id, also of a process that has ended."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._server.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the process ended: its code, or a signal's negative number; None while it runs."""
        return self._server.poll()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when `ready()` holds.

        Raises RuntimeError with the end of the log when the process ends before that or the time is up; then
        the process is gone.
        """
        give_up_at = time.monotonic() + seconds
        while not ready():
            if not self.running or time.monotonic() > give_up_at:
                why = "it took too long" if self.running else f"exit code {self._server.returncode}"
                self.stop(signal.SIGKILL)
                raise RuntimeError(f"{self._name} did not start: {why}. {self._log} ends:\n{self._last_words()}")
            time.sleep(0.02)

    def pause(self) -> None:
        """Stop the process where it is and return when it stands still; nothing happens when it has ended."""
        if self.running:
            self._server.send_signal(signal.SIGSTOP)
            os.waitpid(self.pid, os.WUNTRACED)  # threads go on for a moment after the signal

    def resume(self) -> None:
        """Let the process go on after a pause; nothing happens when it has ended."""
        self._server.send_signal(signal.SIGCONT)

    def stop(self, number: signal.Signals, seconds: float = 30) -> None:
        """Send a signal and wait for the end; kill what has not ended by then. May be repeated."""
        self._server.send_signal(number)
        self.resume()  # a paused process hears no signal but SIGKILL
        try:
            self._server.wait(seconds)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._watcher.kill()
        self._watcher.wait()
        if self._watcher.stdin:
            self._watcher.stdin.close()

    def _last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-20:])


class Identity(TypedDict, total=False):
    """The arguments of subprocess that say who a program runs as."""

    user: str
    group: int
    extra_groups: list[int]


def identity(user: str | None) -> Identity:
    """Return what makes a program run as `user`, in none of our groups; nothing for None."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at the moment, and each only once.

    It is below the ports that systems give to clients: a server can come back to it after a stop.
    """
    while True:
        port = secrets.choice(range(20_000, 32_000))
        if port in _given:  # its server may be about to start, or to come back
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port
