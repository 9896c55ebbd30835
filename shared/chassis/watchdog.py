"""Ends a process that hangs, for its supervisor to start it again. An outage is no hang: what waits and tries is left.

Two things hang. A consumer: there are records for it, and for a minute it neither took nor tried one; aiokafka was seen
not to come back after some rebalances and broker restarts. The event loop: nothing ran on it for a minute; only another
thread can see that.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

BEAT_SECONDS = 1.0
LOOK_SECONDS = 5.0

log = structlog.get_logger()


def end_process(reason: str) -> None:
    """End at once with exit code 70 (EX_SOFTWARE of sysexits.h). Nothing committed is lost by that, by design."""
    log.critical("ending this process, which hangs", reason=reason)
    logging.shutdown()
    os._exit(70)


@dataclass(slots=True)
class _Standstill:
    """Since when a consumer stands where it stands, in seconds of the monotonic clock."""

    since: float
    taken: int


class Watchdog:
    """Calls `end` with the reason when something hangs for `seconds`."""

    def __init__(self, seconds: float, end: Callable[[str], None] = end_process) -> None:
        self._seconds = seconds
        self._end = end
        self._beaten_at = time.monotonic()
        self._standstills: dict[str, _Standstill] = {}
        self._off = threading.Event()

    def start(self) -> None:
        """Watch the event loop, which calls `beat` every BEAT_SECONDS from now on, from a thread."""
        self._off.clear()
        self.beat()
        threading.Thread(target=self._watch_loop, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._off.set()

    def beat(self) -> None:
        """Tell that the event loop runs."""
        self._beaten_at = time.monotonic()

    def see(self, topic: str, *, behind: int, taken: int, active_at: float) -> None:
        """Look at a consumer: how many records it has to take, how many it took ever, and when it last did something.

        To be called every few seconds, for a consumer hangs only if it stood still all the while.
        """
        now = time.monotonic()
        standstill = self._standstills.get(topic)
        if not behind or standstill is None or standstill.taken != taken:
            self._standstills[topic] = _Standstill(now, taken)
        elif now - max(standstill.since, active_at) > self._seconds:
            self._end(f"the consumer of {topic} has {behind} records and took none in {self._seconds:.0f} s")

    def forget(self) -> None:
        """Take all that was seen of consumers as not seen: Kafka does not answer, nobody is to blame for standing."""
        self._standstills.clear()

    def _watch_loop(self) -> None:
        looked_at = time.monotonic()
        while not self._off.wait(min(LOOK_SECONDS, self._seconds / 4)):
            now = time.monotonic()
            if now - looked_at > self._seconds / 2:
                self.beat()  # the whole process stood still, as when a machine sleeps; the loop gets its time
            looked_at = now
            if now - self._beaten_at > self._seconds:
                self._end(f"nothing ran on the event loop for {self._seconds:.0f} s")
