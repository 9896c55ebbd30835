"""`python -m tests.faults.launcher portal run`: a service's own command line, in a process that can be made to fail.

The service's code is as it is in production. Around it, this process can end at an exact point, go by another clock, or
have a handler that fails for one key. The harness says so while it runs, in the JSON file that LEVERS names; see
levers.py for the harness' side.
"""

import functools
import json
import os
import runpy
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

CRASHED = 137
"""The exit code of a crash at a point, which is a killed process' in a shell."""


class Levers:
    """The file that the harness writes; looked at each time, so that it holds from that moment on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._set: dict[str, Any] = {}
        self._passages = 0

    def __getitem__(self, name: str) -> Any:
        try:
            stamp = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            stamp, self._set = 0, {}
        if stamp != self._stamp:
            self._set = json.loads(self._path.read_text()) if stamp else {}
            self._stamp = stamp
            self._passages = 0
        return self._set.get(name)

    def passes(self, point: str) -> None:
        """End or fall asleep here if this is the passage of the point that the harness chose."""
        halt = self["halt"]
        if not halt or halt["point"] != point:
            return
        self._passages += 1
        if self._passages == halt["passage"]:
            self._path.unlink()  # the next process lives, and this one when it is woken
            print(f"{halt['how']} at {point}", file=sys.stderr, flush=True)
            if halt["how"] == "crash":
                os._exit(CRASHED)
            os.kill(os.getpid(), signal.SIGSTOP)


def main() -> None:
    """Change what the harness may want to change, then run the service."""
    service = sys.argv[1]
    levers = Levers(Path(os.environ["LEVERS"]))
    shift_clock(levers)
    crash_between_outbox_and_kafka(levers)
    crash_around_commits(levers)
    crash_before_acknowledgement(levers)
    crash_after_smtp(levers)
    break_handlers(levers)
    shorten_mail_timeout(service)
    sys.argv = [f"services.{service}", *sys.argv[2:]]
    runpy.run_module(f"services.{service}", run_name="__main__", alter_sys=True)


def shift_clock(levers: Levers) -> None:
    """The service's clock is `clock` seconds ahead, and so are the ids it makes of the time."""
    import uuid_utils.compat

    from shared.chassis import clock

    utc_now, uuid7 = clock.utc_now, uuid_utils.compat.uuid7

    def shifted_now() -> datetime:
        return utc_now() + timedelta(seconds=levers["clock"] or 0)

    def shifted_uuid7() -> Any:
        if not levers["clock"]:
            return uuid7()
        return uuid7(nanoseconds=int(shifted_now().timestamp() * 1e9))

    clock.utc_now = shifted_now
    uuid_utils.compat.uuid7 = shifted_uuid7


def crash_between_outbox_and_kafka(levers: Levers) -> None:
    """Points `after send` (the broker has the events, their rows are still there) and `after delete`."""
    from sqlalchemy import Engine, event

    def deletes_from_outbox(statement: str, parameters: Any) -> bool:
        return statement.startswith("DELETE FROM outbox") and bool(parameters)

    @event.listens_for(Engine, "before_cursor_execute")
    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if deletes_from_outbox(statement, parameters):
            levers.passes("after send")

    @event.listens_for(Engine, "after_cursor_execute")
    def after(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if deletes_from_outbox(statement, parameters):
            levers.passes("after delete")


def crash_around_commits(levers: Levers) -> None:
    """Points `before commit` and `after commit` of a transaction that says something, a visitor's or a handler's."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    from shared.chassis.outbox import OutboxMessage

    @event.listens_for(Session, "after_flush")
    def note(session: Session, *_: Any) -> None:
        if any(isinstance(row, OutboxMessage) for row in session.new):
            session.info["says"] = True

    @event.listens_for(Session, "before_commit")
    def before(session: Session) -> None:
        note(session)  # what was said last is flushed by the commit itself, which is yet to come
        if session.info.get("says"):
            levers.passes("before commit")

    @event.listens_for(Session, "after_commit")
    def after(session: Session) -> None:
        if session.info.pop("says", False):
            levers.passes("after commit")


def crash_before_acknowledgement(levers: Levers) -> None:
    """Point `before ack`: the effects of a batch are committed, Kafka does not know."""
    from aiokafka import AIOKafkaConsumer

    commit = AIOKafkaConsumer.commit

    @functools.wraps(commit)
    async def commit_or_crash(self: AIOKafkaConsumer, *arguments: Any) -> None:
        levers.passes("before ack")
        await commit(self, *arguments)

    AIOKafkaConsumer.commit = commit_or_crash


def crash_after_smtp(levers: Levers) -> None:
    """Point `after 250`: the mail server has the email, the database does not know."""
    from aiosmtplib import SMTP

    send_message = SMTP.send_message

    @functools.wraps(send_message)
    async def send_or_crash(self: SMTP, *arguments: Any, **named: Any) -> Any:
        answer = await send_message(self, *arguments, **named)
        levers.passes("after 250")
        return answer

    SMTP.send_message = send_or_crash


def break_handlers(levers: Levers) -> None:
    """Every handler fails for the events whose key is `broken key`, as a bug would make it."""
    from shared.chassis.consumer import Consumer

    make = Consumer.__init__

    def breakable(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def handle(heard: Any, *arguments: Any, **named: Any) -> None:
            events = heard if isinstance(heard, list) else [heard]
            if levers["broken key"] in {event.key for event in events}:
                raise RuntimeError("a bug for this key")
            await handler(heard, *arguments, **named)

        return handle

    def make_breakable(self: Any, event_type: Any, handler: Callable[..., Any], **named: Any) -> None:
        make(self, event_type, breakable(handler), **named)

    Consumer.__init__ = make_breakable


def shorten_mail_timeout(service: str) -> None:
    """Give a mail server that hangs SMTP_TIMEOUT_SECONDS, so that a run need not wait for half a minute."""
    if service == "notifier" and (seconds := os.environ.get("SMTP_TIMEOUT_SECONDS")):
        from services.notifier import mail

        mail.TIMEOUT_SECONDS = mail.TRY_SECONDS = float(seconds)


if __name__ == "__main__":
    main()
