"""F14: records that cannot have their effect, each in the middle of 500 that can."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import psutil

from shared.contracts import Event, Survey, SurveyCreated
from tests.builders import a_reply_sent, a_ticket, an_account
from tests.faults.oracles import Evidence
from tests.faults.scene import Fault, Scene
from tests.product import SERVICES
from tests.stage import Delivery, delivery_of

GOOD = 500
PARTITION = 0
"""Every record goes there, so that they are in one batch."""

ACCOUNT = "f14-poison"
BROKEN = "broken"
"""The ticket whose events meet a bug."""

READERS_OF_NOTES = ("portal", "surveys")
"""Who hears `reply.sent`, where an internal note may be by mistake."""

IDLE_SECONDS = 3.0
BUSY = 0.6
"""Share of a core. A consumer that tries a record again and again without a wait takes all of one."""


def _with(delivery: Delivery, header: str, value: bytes | None) -> Delivery:
    others = [(name, kept) for name, kept in delivery.headers if name != header]
    return replace(delivery, headers=[*others, (header, value)])


UNREADABLE: dict[str, Callable[[Delivery], Delivery]] = {
    "bad JSON": lambda record: replace(record, value=b'{"account_id": "a'),
    "no UTF-8 in a header": lambda record: _with(record, "ce_id", b"\xff\xfe"),
    "a header without a value": lambda record: _with(record, "ce_type", None),
    "a tombstone": lambda record: replace(record, value=None),
    "an unknown type": lambda record: _with(record, "ce_type", b"survey.teleported"),
    "an unknown version": lambda record: _with(record, "ce_specversion", b"9.9"),
    "no tenant": lambda record: replace(record, value=(record.value or b"").replace(b'"account_id"', b'"was_account"')),
}
HARMLESS: dict[str, Callable[[Delivery], Delivery]] = {
    "no UTF-8 in a header of no interest": lambda record: _with(record, "x-trace", b"\xff\xfe"),
}


async def poison(scene: Scene) -> None:
    """The rest of each batch has its effect; the poison lies among the dead letters, and replays once it can."""
    scene.victims = {"portal", "reports"}
    await scene.helpdesk.publishes(an_account(account_id=ACCOUNT))
    await scene.did("poison")
    good = 0
    for name, poisoning in (UNREADABLE | HARMLESS).items():
        batch = _surveys(scene, name)
        place = await _send(scene, batch, poisoning(delivery_of(_survey(name, 0))))
        good += len(batch) + (name in HARMLESS)
        if name in UNREADABLE:
            scene.expected_dead.add(("reports", *place))
    # The same event's id again, for another body: the first one stays.
    batch = _surveys(scene, "contradicted")
    await _send(scene, batch, replace(delivery_of(_survey("contradicting", 1)), headers=batch[0].headers))
    good += len(batch)
    # A bug that one key's events meet.
    broken = delivery_of(_survey(BROKEN, 0))
    scene.system.levers("reports").break_key((broken.key or b"").decode())
    batch = _surveys(scene, "whole")
    scene.expected_dead.add(("reports", *await _send(scene, batch, broken)))
    good += len(batch)
    await _send_a_megabyte(scene)
    scene.afterwards += [
        partial(_others_had_their_effect, scene, good),
        partial(_consumers_are_idle, scene),
        partial(_notes_are_not_kept, scene),
        partial(_mend_replay_and_purge, scene),
    ]


async def _send_a_megabyte(scene: Scene) -> None:
    """A reply whose publication would be larger than a record may be, and a note that cannot be read."""
    notes = [delivery_of(_reply(f"f14-{n}", visibility="internal")) for n in range(GOOD)]
    large = delivery_of(_reply("f14-large", body="x" * 1_000_000))
    scene.expected_dead.add(("portal", *await _send(scene, notes, large)))
    note = delivery_of(_reply("f14-note", visibility="internal", body="confidential"))
    place = await _send(scene, [], replace(note, value=(note.value or b"")[:-1]))
    scene.expected_dead |= {(reader, *place) for reader in READERS_OF_NOTES}


async def _others_had_their_effect(scene: Scene, good: int, _: Evidence) -> None:
    """All of them, and nothing else."""
    async with scene.system.admin("reports") as reports:
        there = await reports.fetchval("SELECT count(*) FROM ratings WHERE account_id = $1", ACCOUNT)
    scene.figures["good"] = good
    scene.demand(there == good, "O1", f"{there} of {good} records beside the poison had their effect")


async def _consumers_are_idle(scene: Scene, _: Evidence) -> None:
    """Nobody tries poison again and again."""
    processes = {name: psutil.Process(scene.system.processes[name].pid) for name in SERVICES}
    for process in processes.values():
        process.cpu_percent()
    await asyncio.sleep(IDLE_SECONDS)
    busy = {name: process.cpu_percent() / 100 for name, process in processes.items()}
    scene.figures["idle CPU"] = f"{max(busy.values()):.0%}"
    scene.demand(max(busy.values()) < BUSY, "O9", f"a service is busy after the poison: {busy}")


async def _notes_are_not_kept(scene: Scene, _: Evidence) -> None:
    """A reply that cannot be read may be an internal note."""
    for reader in READERS_OF_NOTES:
        async with scene.system.admin(reader) as database:
            query = "SELECT count(*) FROM dead_letters WHERE position('confidential'::bytea IN value) > 0"
            kept = await database.fetchval(query)
        scene.demand(kept == 0, "O7", f"{reader} kept a note that could not be read with its text")


async def _mend_replay_and_purge(scene: Scene, _: Evidence) -> None:
    """Once the bug is mended, its letter has its effect; what nobody can read stays, until it is purged."""
    scene.system.levers("reports").release()
    before = sum(place[0] == "reports" for place in scene.expected_dead)
    code, told = await scene.system.operate("reports", "dead-letters", "replay", "--all")
    async with scene.system.admin("reports") as reports:
        left = await reports.fetchval("SELECT count(*) FROM dead_letters")
        there = await reports.fetchval("SELECT count(*) FROM ratings WHERE ticket_id = $1", BROKEN)
    scene.demand(left == before - 1, "O7", f"{left} letters of {before} are left after the replay ({code}): {told}")
    scene.demand(there == 1, "O7", f"the replayed event had {there} effects")
    readers = {service for service, *_ in scene.expected_dead}
    await asyncio.gather(*(scene.system.operate(name, "dead-letters", "purge", "--all", "--yes") for name in readers))
    for service in readers:
        async with scene.system.admin(service) as database:
            left = await database.fetchval("SELECT count(*) FROM dead_letters")
        scene.demand(left == 0, "O7", f"{left} letters of {service} are left after the purge")


def _surveys(scene: Scene, name: str) -> list[Delivery]:
    count = max(round(GOOD * scene.pace.stretch), 20)
    return [delivery_of(_survey(name, number)) for number in range(1, count + 1)]


def _survey(ticket_id: str, number: int) -> Event:
    survey = Survey(
        survey_id=f"{ticket_id}-{number}",
        ticket_id=ticket_id,
        resolved_version=number,
        subject="Poison",
        requester_name="Rita",
        priority="normal",
        channel="email",
        created_at=datetime.now(UTC),
        expires_at=datetime.now(UTC) + timedelta(days=14),
    )
    return SurveyCreated(account_id=ACCOUNT, survey=survey)


def _reply(reply_id: str, **facts: str) -> Event:
    ticket = a_ticket(ticket_id="f14-large", version=2)
    return a_reply_sent(account_id=ACCOUNT, ticket=ticket, reply_id=reply_id, sent_at=datetime.now(UTC), **facts)


async def _send(scene: Scene, good: Iterable[Delivery], poison: Delivery) -> tuple[str, int, int]:
    """Send the poison in the middle of a batch; tell where in the log it is."""
    batch = list(good)
    middle = len(batch) // 2
    batch.insert(middle, poison)
    sent = [await scene.helpdesk.sends(record, partition=PARTITION) for record in batch]
    places = await asyncio.gather(*sent)
    return poison.topic, PARTITION, places[middle].offset


POISON = [Fault("F14", "poison in batches of 500", poison)]
