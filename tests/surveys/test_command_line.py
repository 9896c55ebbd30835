"""What an operator types, in a process of its own."""

import asyncio
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.surveys.survey import Survey
from shared.chassis.dead_letters import DeadLetter
from shared.contracts import Logo, SurveyPolicy, SurveyWording
from tests.builders import a_reply_sent, a_ticket, a_ticket_resolved, an_account
from tests.notifier.builders import PNG
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


async def test_surveys_that_were_not_sent_are_listed_with_their_reasons(surveys: Stage) -> None:
    """Nobody wonders why a requester was not asked."""
    nobody = SurveyPolicy(enabled=False)
    await surveys.hears(an_account(survey_policy=nobody), a_ticket_resolved())
    surveys.later(days=3)
    await surveys.hears(resolved("T-[b]2", surveys.clock()))

    _, all_of_them = await typed(surveys, "skipped", "acme")
    _, newer = await typed(surveys, "skipped", "acme", "--since", "2026-03-04")
    code, unknown = await typed(surveys, "skipped", "nobody")

    assert all_of_them.count("disabled") == 3
    assert "T-[b]2" in newer
    assert "T-1" not in newer
    assert (code, "Nobody has told of an account nobody." in unknown) == (1, True)


async def test_a_dry_run_tells_whom_another_policy_would_have_asked(surveys: Stage) -> None:
    """By the rules themselves, about what was resolved lately; it changes nothing."""
    now = datetime.now(UTC)
    surveys.clock.now = now - timedelta(days=10)
    await surveys.hears(an_account(), resolved("T-0", surveys.clock()), a_reply_sent(ticket=a_ticket(ticket_id="T-2")))
    surveys.clock.now = now - timedelta(days=2)
    await surveys.hears(*(resolved(f"T-{number}", surveys.clock()) for number in (1, 2, 3)))
    before = [vars(row) for row in await surveys.rows(Survey)]

    _, as_it_is = await typed(surveys, "dry-run", "acme")
    _, once = await typed(surveys, "dry-run", "acme", "--days-between", "5", "--only-after-reply")
    _, month = await typed(surveys, "dry-run", "acme", "--days-between", "30")
    code, wrong = await typed(surveys, "dry-run", "acme", "--sample-percent", "200")

    assert sums(as_it_is) == {"asked": 3}
    assert sums(once) == {"asked": 1, "no_reply": 2}
    assert sums(month) == {"asked_recently": 3}
    assert (code, "sample_percent must be 0 to 100" in wrong) == (2, True)
    assert len(before) == await surveys.count(Survey) == 4


async def test_pages_can_be_looked_at_before_anybody_sees_them(surveys: Stage, tmp_path: Path) -> None:
    """Whole in one file each, in any language, with the account's own words; nothing runs and nothing is loaded."""
    words = {"de": SurveyWording(heading="Alles gut?")}
    await surveys.hears(
        an_account(survey_policy=SurveyPolicy(wording=words), logo=Logo(media_type="image/png", data=PNG))
    )

    _, said = await typed(surveys, "preview", "acme", "--language", "de", "--folder", str(tmp_path / "new"))
    code, unspoken = await typed(surveys, "preview", "acme", "--language", "tlh")

    pages = contents(said.split())
    assert set(pages) == {"survey.de.html", "thanks.de.html", "opt_out.de.html"}
    assert "Alles gut?" in pages["survey.de.html"]
    for html in pages.values():
        assert "--brand:#0b6e4f" in html
        assert ".card {" in html
        assert 'src="data:image/png;base64,' in html
        assert "<script" not in html
        assert not re.findall(r'(?:src|href)="/(?!u/)[^"]*"', html)
    assert (code, "tlh is none of" in unspoken) == (2, True)


def resolved(ticket_id: str, at: datetime):
    """A resolution of a ticket of Rita's."""
    return a_ticket_resolved(ticket=a_ticket(ticket_id=ticket_id, version=3, status="resolved"), resolved_at=at)


def contents(files: list[str]) -> dict[str, str]:
    """What is in the files, by their names."""
    return {Path(file).name: Path(file).read_text() for file in files}


def sums(said: str) -> dict[str, int]:
    """The first table: how many resolutions had which outcome."""
    return {name: int(count) for name, count in re.findall(r"│ (\w+) +│ +(\d+) +│$", said, re.MULTILINE)}
