"""What an operator types, in a process of its own."""

import asyncio
import os
import sys
from pathlib import Path

from services.surveys.survey import Survey
from shared.chassis.dead_letters import DeadLetter
from tests.builders import a_ticket_resolved, an_account
from tests.stage import Stage, delivery_of

ROOT = Path(__file__).parents[2]


async def typed(stage: Stage, *words: str) -> tuple[int | None, str]:
    """Run a command of the surveys service on the stage's database; tell its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.surveys", *words),
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": stage.service.settings.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "PUBLIC_URL": "https://surveys.example",
            "SECRET_KEY": "k" * 32,
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_dead_letters_are_listed_replayed_and_purged(surveys: Stage) -> None:
    """Nothing is lost: an operator sees why, mends it, and runs the record again."""
    broken = delivery_of(a_ticket_resolved())
    broken.value = b"{"
    await surveys.hears(broken, a_ticket_resolved())
    unreadable, waiting = await surveys.rows(DeadLetter)

    _, listed = await typed(surveys, "dead-letters", "list")
    assert "the value is not JSON" in listed
    assert "waits for acme" in listed

    _, replayed = await typed(surveys, "dead-letters", "replay", str(unreadable.id), str(waiting.id))
    assert "is not JSON" in replayed
    assert "0 replayed, 1 wait still, 1 failed again" in replayed
    assert await surveys.count(DeadLetter) == 2

    await surveys.hears(an_account())  # which runs the one that waited
    await surveys.hears(a_ticket_resolved(account_id="other"))
    _, replayed = await typed(surveys, "dead-letters", "replay", "--all")
    assert "0 replayed, 1 wait still, 1 failed again" in replayed
    assert await surveys.count(Survey) == 1

    ids = [str(letter.id) for letter in await surveys.rows(DeadLetter)]
    code, _ = await typed(surveys, "dead-letters", "purge", "--yes", *ids)
    assert code == 0
    _, listed = await typed(surveys, "dead-letters", "list")
    assert "No dead letters" in listed


async def test_migrating_twice_changes_nothing(surveys: Stage) -> None:
    """Every start may migrate."""
    codes = [(await typed(surveys, "migrate"))[0] for _ in range(2)]

    assert codes == [0, 0]


async def test_help_says_what_there_is(surveys: Stage) -> None:
    """Who knows nothing types --help."""
    _, said = await typed(surveys, "--help")

    for command in ("run", "migrate", "dead-letters"):
        assert command in said
