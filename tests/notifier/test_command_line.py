"""What an operator or a mail server types, in a process of its own."""

import asyncio
import os
import sys
from pathlib import Path

from services.notifier.emails import Email
from services.notifier.tables import Suppression
from tests.builders import NOON, an_account
from tests.notifier.builders import a_bounce, a_survey_invited
from tests.notifier.conftest import Post
from tests.stage import Stage

ROOT = Path(__file__).parents[2]


async def typed(stage: Stage, *words: str, piped: bytes = b"", **environment: str) -> tuple[int | None, str, str]:
    """Run a command of the notifier on the stage's database; tell its exit code, its output and its errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.notifier", *words),
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": stage.service.settings.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "MAIL_FROM": "support@desk.example",
            "SMTP_HOST": "127.0.0.1",
            "COLUMNS": "200",
            **environment,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(piped)
    return process.returncode, output.decode(), errors.decode()


async def suppressed(notifier: Stage, *rows: tuple[str, str]) -> None:
    """Suppress addresses of accounts."""
    await notifier.hears(an_account(), an_account(account_id="bolt"))
    async with notifier.service.sessions.begin() as session:
        session.add_all(
            Suppression(account_id=account_id, address=address, code="550 5.1.1", suppressed_at=NOON)
            for account_id, address in rows
        )


async def test_suppressions_are_listed_with_what_the_server_said(notifier: Stage) -> None:
    """An operator sees whose mail is not tried, and why."""
    await suppressed(notifier, ("acme", "rita@customer.example"), ("acme", '"[red]"@customer.example'))

    code, listed, _ = await typed(notifier, "suppressions", "list")

    assert code == 0
    for word in ("acme", "rita@customer.example", '"[red]"@customer.example', "550 5.1.1", "2026-03-02 12:00"):
        assert word in listed


async def test_an_empty_list_says_so(notifier: Stage) -> None:
    """No table without rows."""
    assert (await typed(notifier, "suppressions", "list"))[1] == "No suppressed addresses.\n"


async def test_lifting_a_suppression_lets_the_next_email_go(notifier: Stage, post: Post) -> None:
    """However the operator writes the address, and for every account it is suppressed for."""
    await suppressed(notifier, ("acme", "rita@customer.example"), ("bolt", "rita@customer.example"))

    code, told, _ = await typed(notifier, "suppressions", "lift", "Rita@Customer.example")

    assert (code, told) == (0, "Rita@Customer.example is written to again by acme, bolt\n")
    await notifier.hears(a_survey_invited())
    await post.goes_out()
    assert (await notifier.row(Email)).state == "sent"


async def test_a_suppression_can_be_lifted_for_one_account(notifier: Stage) -> None:
    """The other account's stays."""
    await suppressed(notifier, ("acme", "rita@customer.example"), ("bolt", "rita@customer.example"))

    await typed(notifier, "suppressions", "lift", "rita@customer.example", "--account", "bolt")

    assert (await notifier.row(Suppression)).account_id == "acme"


async def test_lifting_what_is_not_suppressed_is_told(notifier: Stage) -> None:
    """A slip of the pen does not look like success."""
    code, _, errors = await typed(notifier, "suppressions", "lift", "rita@customer.exampel")

    assert code == 1
    assert "rita@customer.exampel is not suppressed" in errors


async def test_a_bounce_is_taken_from_standard_input(notifier: Stage, post: Post) -> None:
    """As a mail server's pipe hands it over; again is no fault; no address is written where a mail server logs it."""
    await notifier.hears(an_account(), a_survey_invited())
    await post.goes_out()
    email = await notifier.row(Email)

    first = await typed(notifier, "bounce", piped=a_bounce(email.id))
    second = await typed(notifier, "bounce", piped=a_bounce(email.id))

    assert first == (0, f"email {email.id} failed: bounced, 550 5.1.1; its address is suppressed\n", "")
    assert second == (0, f"email {email.id} has failed before (bounced); nothing changed\n", "")
    assert len(await notifier.said()) == 1


async def test_what_does_not_count_ends_with_65_and_a_line_on_standard_error(notifier: Stage) -> None:
    """A mail server can tell it from a bounce that counts."""
    assert await typed(notifier, "bounce", piped=b"Subject: hello\r\n\r\nhello") == (
        65,
        "",
        "Not counted: it is no delivery status notification.\n",
    )


async def test_while_the_database_is_away_a_bounce_is_to_be_kept(notifier: Stage) -> None:
    """75 is what mail servers try again on; a word, no trace."""
    code, told, errors = await typed(
        notifier,
        "bounce",
        piped=a_bounce("01950000-0000-7000-8000-000000000001"),
        DATABASE_URL="postgresql://nobody:x@127.0.0.1:1/nowhere",
    )
    assert (code, told) == (75, "")
    assert errors.startswith("Try again: ")
    assert "Traceback" not in errors


async def test_with_wrong_settings_a_bounce_is_to_be_kept(notifier: Stage) -> None:
    """A pipe that is set up wrongly loses nothing."""
    code, _, errors = await typed(notifier, "bounce", piped=a_bounce("x"), MAIL_FROM="nobody")

    assert code == 75
    assert "MAIL_FROM: must look like support@desk.example" in errors


async def test_help_says_what_there_is(notifier: Stage) -> None:
    """Who knows nothing types --help."""
    for words, told in (
        ((), ("run", "migrate", "dead-letters", "suppressions", "bounce")),
        (("suppressions",), ("list", "lift")),
        (("bounce",), ("standard input", "0 ", "65 ", "75 ")),
    ):
        _, said, _ = await typed(notifier, *words, "--help")
        assert all(word in said for word in told), said
