"""What hangs is ended, so that its supervisor starts it again; what merely waits is left."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from shared.chassis import vital_signs
from shared.chassis.cluster import Cluster
from shared.chassis.consumer import Consumer
from shared.chassis.lag import LagMeter
from shared.chassis.watchdog import Watchdog
from tests.builders import a_ticket, a_ticket_updated
from tests.chassis.counting import failing
from tests.chassis.test_kafka import fresh_service, heard, publish
from tests.stage import Stage, delivery_of

HANG = """
import time
from shared.chassis.watchdog import Watchdog
watchdog = Watchdog(0.4)
watchdog.start()
{then}
print("survived")
"""


@pytest.fixture
def ended() -> list[str]:
    """Why the watchdog would have ended us."""
    return []


@pytest.fixture
def watchdog(ended: list[str]) -> Watchdog:
    """A watchdog that waits for an instant and bites nobody."""
    return Watchdog(0.05, ended.append)


def test_a_consumer_that_has_records_and_does_nothing_hangs(watchdog: Watchdog, ended: list[str]) -> None:
    """Nothing was taken and nothing tried for as long as the limit."""
    watchdog.see("t", behind=3, taken=7, active_at=0)
    assert ended == []
    time.sleep(0.06)
    watchdog.see("t", behind=3, taken=7, active_at=0)

    assert ended == ["the consumer of t has 3 records and took none in 0 s"]


@pytest.mark.parametrize(
    "look",
    [
        lambda: {"behind": 0, "taken": 7, "active_at": 0},
        lambda: {"behind": 3, "taken": time.monotonic_ns(), "active_at": 0},
        lambda: {"behind": 3, "taken": 7, "active_at": time.monotonic()},
    ],
    ids=["has nothing to do", "takes", "tries"],
)
def test_a_consumer_that_works_or_has_no_work_does_not_hang(
    watchdog: Watchdog, ended: list[str], look: Callable[[], dict]
) -> None:
    """A database that is away for an hour is no reason to be ended: the consumer tries again and again."""
    for _ in range(5):
        watchdog.see("t", **look())
        time.sleep(0.03)

    assert ended == []


def test_while_kafka_is_silent_nobody_hangs(watchdog: Watchdog, ended: list[str]) -> None:
    """When it is back, the minute begins anew."""
    watchdog.see("t", behind=3, taken=7, active_at=0)
    time.sleep(0.06)
    watchdog.forget()
    watchdog.see("t", behind=3, taken=7, active_at=0)

    assert ended == []


def test_a_process_whose_loop_stands_still_ends_with_a_code_and_a_word() -> None:
    """Only another thread can see it."""
    process = subprocess.run(
        [sys.executable, "-c", HANG.format(then="time.sleep(20)")], capture_output=True, text=True, check=False
    )

    assert process.returncode == 70
    assert "nothing ran on the event loop" in process.stderr + process.stdout


def test_a_loop_that_beats_is_left_alone() -> None:
    """And so is one that is watched no more."""
    beating = "for _ in range(20): watchdog.beat(); time.sleep(0.05)\nwatchdog.stop(); time.sleep(0.8)"
    process = subprocess.run(
        [sys.executable, "-c", HANG.format(then=beating)], capture_output=True, text=True, check=True
    )

    assert process.stdout == "survived\n"


async def test_a_handler_that_never_returns_is_seen_on_a_real_broker(
    counting: Stage, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lag is there, the group stands still: the service would be ended and started again."""
    ended: list[str] = []
    monkeypatch.setattr(vital_signs, "LOOK_SECONDS", 0.2)
    subject = str(uuid4())
    service = fresh_service(counting, kafka)
    service._vital_signs._watchdog = Watchdog(2, ended.append)
    take = Consumer.take

    async def hang(consumer: Consumer, records: list) -> None:
        await take(consumer, records)
        if any(subject.encode() in (record.value or b"") for record in records):
            await asyncio.Event().wait()

    async with service.running(None):
        async with asyncio.timeout(30):
            while service.behind != 0:
                await asyncio.sleep(0.1)
        assert ended == []
        monkeypatch.setattr(Consumer, "take", hang)
        await publish(kafka, delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject))))
        async with asyncio.timeout(30):
            while not ended:
                await asyncio.sleep(0.1)
        assert service.behind

    assert "the consumer of ticket.updated has 1 records and took none in 2 s" in ended


async def test_a_consumer_at_its_limit_stands_still_and_says_so(counting: Stage, kafka: str) -> None:
    """An operator sees why, and how far behind the service is; mended, it goes on by itself."""
    subjects = [f"{uuid4()}" for _ in range(3)]
    for subject in subjects:
        failing[subject] = [ValueError("broken by a release")] * 99
    service = fresh_service(counting, kafka, dead_letter_limit=2)
    async with (
        LagMeter(Cluster(kafka), service=service.name, topics=["ticket.updated"]) as meter,
        service.running(None),
    ):
        async with asyncio.timeout(30):
            while sum(place.behind for place in (await meter.measure()).values()):
                await asyncio.sleep(0.1)
        tickets = [a_ticket(subject=subject, ticket_id="T-1") for subject in subjects]
        await publish(kafka, *(delivery_of(a_ticket_updated(ticket=ticket)) for ticket in tickets))
        async with asyncio.timeout(30):
            while not (told := await troubles(service)):
                await asyncio.sleep(0.1)
        assert told == [
            "ticket.updated: stands still: ticket.updated has more than 2 dead letters of the last 24 hours"
        ]
        assert sum(place.behind for place in (await meter.measure()).values()) >= 1

        failing.clear()
        async with asyncio.timeout(40):
            await heard(counting, subjects[2])
            while await troubles(service):
                await asyncio.sleep(0.1)


async def troubles(service) -> list[str]:
    """What an operator is told."""
    async with service.sessions() as session:
        return await service.troubles(session)
