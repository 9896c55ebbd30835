"""What operators are shown and can do, beyond what tests/surveys/test_command_line.py tries in a process of its own."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.ext.asyncio import AsyncSession

from shared.chassis.command_line import command_line
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.lifecycle import Service
from shared.chassis.outbox import emit
from shared.chassis.program import Program
from shared.chassis.settings import Settings
from tests.builders import a_ticket, a_ticket_updated, an_account
from tests.chassis import counting as app
from tests.chassis.counting import Heard, failing
from tests.chassis.test_kafka import fresh_service, heard, publish
from tests.stage import Stage, delivery_of


async def typed(stage: Stage, *words: str, kafka: str = "127.0.0.1:1", name: str = "counting") -> Result:
    """Type a command of the counting service."""
    program = Program(
        name=name,
        settings=Settings,
        create_service=lambda settings: app.create_service(settings, stage.clock, name=name),
        create_app=app.create_app,
        metadata=app.Table.metadata,
        versions=None,  # type: ignore[arg-type] - no command here migrates
    )
    environment = {
        "DATABASE_URL": stage.service.settings.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "COLUMNS": "200",
    }
    return await asyncio.to_thread(CliRunner().invoke, command_line(program), words, env=environment)


async def with_letters(stage: Stage, *subjects: str) -> list[DeadLetter]:
    """Let the updates with these subjects die."""
    for subject in subjects:
        failing[subject] = [ValueError("not yet")] * 9
    tickets = [a_ticket(subject=subject, ticket_id=f"T-{number}") for number, subject in enumerate(subjects)]
    await stage.hears(*(delivery_of(a_ticket_updated(ticket=ticket)) for ticket in tickets))
    failing.clear()
    return list(await stage.rows(DeadLetter))


async def test_one_letter_is_shown_whole_but_for_its_links(counting: Stage) -> None:
    """Who has the link has the ticket; an operator needs everything else."""
    (letter,) = await with_letters(counting, "Tent pole")
    async with counting.service.sessions.begin() as session:
        row = await session.get_one(DeadLetter, letter.id)
        row.value = row.value[:-1] + b',"link":"https://portal.example/t/secret","more":[{"link":"secret"}]}'

    shown = (await typed(counting, "dead-letters", "show", str(letter.id))).output

    assert "ValueError: not yet" in shown
    assert "after 3 tries" in shown
    assert "header ce_id" in shown
    assert '"subject": "Tent pole"' in shown
    assert "secret" not in shown
    assert shown.count("(masked)") == 2


async def test_what_is_no_json_is_not_shown(counting: Stage) -> None:
    """Nobody can tell where a link stands in it."""
    broken = delivery_of(a_ticket_updated())
    broken.value = b'{"link": "https://portal.example/t/secret"'
    await counting.hears(broken)
    (letter,) = await counting.rows(DeadLetter)

    shown = (await typed(counting, "dead-letters", "show", str(letter.id))).output

    assert "bytes that are not JSON" in shown
    assert "secret" not in shown


async def test_a_letter_that_is_not_there_is_said_so(counting: Stage) -> None:
    """With an exit code for scripts."""
    result = await typed(counting, "dead-letters", "show", "4711")

    assert result.exit_code == 1
    assert "There is no letter 4711" in result.output


async def test_letters_are_listed_by_topic_and_state_and_long_lists_are_cut(counting: Stage) -> None:
    """A thousand letters are not for reading."""
    await with_letters(counting, "a", "b", "c")

    assert "… and 2 more" in (await typed(counting, "dead-letters", "list", "--limit", "1")).output
    assert "No dead letters" in (await typed(counting, "dead-letters", "list", "--state", "waiting")).output
    assert "No dead letters" in (await typed(counting, "dead-letters", "list", "--topic", "ticket.created")).output
    assert "not yet" in (await typed(counting, "dead-letters", "list", "--state", "dead")).output


async def test_a_topic_is_replayed_and_what_fails_again_stays_and_is_told(counting: Stage) -> None:
    """The exit code says whether there is more to mend."""
    await with_letters(counting, "a", "b", "c")
    failing["b"] = [ValueError("still not")]

    result = await typed(counting, "dead-letters", "replay", "--topic", "ticket.updated")

    assert result.exit_code == 1
    assert "ValueError: still not" in result.output
    assert "2 replayed, 0 wait still, 1 failed again" in result.output
    assert await counting.count(Heard) == 2
    assert await counting.count(DeadLetter) == 1
    assert (await typed(counting, "dead-letters", "replay", "--all")).exit_code == 0


async def test_purging_asks_and_says_what_is_left(counting: Stage) -> None:
    """What is purged is lost."""
    first, *_ = await with_letters(counting, "a", "b")

    assert (await typed(counting, "dead-letters", "purge", str(first.id))).exit_code == 1
    assert await counting.count(DeadLetter) == 2
    assert "1 purged, 1 left" in (await typed(counting, "dead-letters", "purge", "--yes", str(first.id))).output


@pytest.mark.parametrize("command", ["replay", "purge"])
async def test_to_name_no_letter_is_not_to_name_all(counting: Stage, command: str) -> None:
    """Whoever forgets the ids is asked for them."""
    result = await typed(counting, "dead-letters", command, *(["--yes"] if command == "purge" else []))

    assert result.exit_code == 2
    assert "name letters by id" in result.output


async def test_status_tells_what_is_behind_what_waits_and_what_died(counting: Stage, kafka: str) -> None:
    """From Kafka and the database themselves: the service need not run."""
    subject = str(uuid4())
    service = fresh_service(counting, kafka)
    await publish(kafka, delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject))))
    async with service.running(None):
        async with asyncio.timeout(30):
            await heard(counting, subject)
            while service.behind != 0:
                await asyncio.sleep(0.1)
    await counting.clear()
    await with_letters(counting, "a", "b")
    await publish(kafka, delivery_of(a_ticket_updated()), delivery_of(a_ticket_updated()))
    async with counting.service.sessions.begin() as session:
        emit(session, an_account())

    result = await typed(counting, "status", kafka=kafka, name=service.name)

    assert result.exit_code == 0
    (row,) = [line.split("│")[1:-1] for line in result.output.splitlines() if "ticket.updated" in line]
    records, taken, behind, dead, waiting = (int(cell.strip().replace(",", "")) for cell in row[1:])
    assert (records - taken, behind, dead, waiting) == (2, 2, 2, 0)
    assert "1 events wait to be published" in result.output


async def test_status_tells_the_troubles_of_the_service(counting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """What /health/ready tells machines, as it is written."""
    create = app.create_service

    def troubled(*settings: Any, **more: Any) -> Service:
        service = create(*settings, **more)
        service.checks = [trouble, no_trouble]
        return service

    async def trouble(_: AsyncSession, __: datetime) -> str | None:
        return "3 emails wait [red]"

    async def no_trouble(_: AsyncSession, __: datetime) -> str | None:
        return None

    monkeypatch.setattr(app, "create_service", troubled)

    told = (await typed(counting, "status")).output.splitlines()

    assert told[-1] == "3 emails wait [red]"


async def test_status_without_kafka_tells_what_it_can(counting: Stage) -> None:
    """And that this is not all."""
    result = await typed(counting, "status")

    assert result.exit_code == 1
    assert "Kafka does not answer" in result.output
    assert "0 events wait to be published" in result.output
