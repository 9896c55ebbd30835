"""Freezing processes, such that they thaw even when the harness is killed meanwhile."""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence

import psutil


@contextlib.contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Keep processes and their children where they are, as a machine that hangs would, until the block ends."""
    everybody = [str(pid) for root in pids for pid in _with_children(root)]
    # The shell reads a pipe that only we hold: it thaws them when we close it or end, whatever ended us.
    keeper = subprocess.Popen(
        ["sh", "-c", 'kill -s STOP "$@" && echo frozen; read -r _; kill -s CONT "$@"', "sh", *everybody],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert keeper.stdin
    assert keeper.stdout
    try:
        keeper.stdout.readline()
        _wait_until_still(everybody)
        yield
    finally:
        keeper.stdin.close()
        keeper.wait()
        keeper.stdout.close()


def _with_children(pid: int) -> Sequence[int]:
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


def _wait_until_still(pids: Sequence[str]) -> None:
    """A signal takes a moment to reach every thread."""
    give_up_at = time.monotonic() + 2
    while time.monotonic() < give_up_at and not all(_is_still(int(pid)) for pid in pids):
        time.sleep(0.01)


def _is_still(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    except psutil.NoSuchProcess:
        return True
