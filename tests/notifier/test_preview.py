"""`preview`: an account's emails as files to be looked at before anybody gets them."""

import asyncio
import re
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner, Result

from services.notifier.__main__ import main
from services.notifier.emails import TO_REQUESTERS
from services.notifier.tables import Account
from shared.contracts import Logo, SurveyPolicy, SurveyWording
from shared.contracts.notification import Kind
from shared.public_pages.language import LANGUAGES
from tests.builders import an_account
from tests.notifier.builders import PNG
from tests.stage import Stage

KINDS = get_args(Kind)


async def previewed(notifier: Stage, folder: Path, *words: str) -> Result:
    """Type the command, in the environment of the service on stage."""
    environment = {
        "DATABASE_URL": notifier.service.settings.database_url.replace("+asyncpg", ""),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "SMTP_HOST": "127.0.0.1",
        "MAIL_FROM": "support@desk.example",
    }
    typed = ["preview", *words, "--folder", str(folder)]
    return await asyncio.to_thread(CliRunner().invoke, main, typed, env=environment)


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
async def test_every_kind_is_written_in_the_language(notifier: Stage, tmp_path: Path, tag: str) -> None:
    """As a browser shows it and as plain text; into a folder that is made."""
    await notifier.hears(an_account())

    done = await previewed(notifier, tmp_path / "new", "acme", "--language", tag)

    written = sorted(f"{kind}.{tag}.{ending}" for kind in KINDS for ending in ("html", "txt"))
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == written
    assert sorted(Path(line).name for line in done.output.splitlines()) == written
    for kind in KINDS:
        html = (tmp_path / "new" / f"{kind}.{tag}.html").read_text(encoding="utf-8")
        assert f'lang="{tag}"' in html
        assert "Acme Outdoor" in (tmp_path / "new" / f"{kind}.{tag}.txt").read_text(encoding="utf-8")


async def test_the_files_load_nothing_and_hold_the_logo(notifier: Stage, tmp_path: Path) -> None:
    """They can be handed on, and looking at them tells nobody."""
    await notifier.hears(an_account(logo=Logo(media_type="image/png", data=PNG)))

    await previewed(notifier, tmp_path, "acme")

    for kind in KINDS:
        file = tmp_path / f"{kind}.en.html"
        sources = re.findall(r'(?:src|background|url\()="?([^")]*)', file.read_text(encoding="utf-8"))
        assert sources
        assert all(source.startswith("data:image/png;base64,") for source in sources)


async def test_they_show_the_accounts_own_words_and_what_happens_to_tickets(notifier: Stage, tmp_path: Path) -> None:
    """What an account would look for."""
    words = {"en": SurveyWording(heading="How was Acme?")}
    await notifier.hears(an_account(survey_policy=SurveyPolicy(wording=words)))

    await previewed(notifier, tmp_path, "acme")

    said = {kind: (tmp_path / f"{kind}.en.txt").read_text(encoding="utf-8") for kind in KINDS}
    assert "How was Acme?" in said["survey_invited"]
    assert "It was Open and is now Resolved." in said["ticket_solved"]
    assert "It was Resolved and is now Open." in said["ticket_reopened"]
    assert "2 of 5: Bad" in said["survey_submitted"]
    assert {kind for kind in KINDS if "You get this email because you asked Acme" in said[kind]} == set(TO_REQUESTERS)


@pytest.mark.parametrize(
    ("words", "told"), [(("nobody",), "Nobody has told of an account nobody."), (("acme", "--language", "tlh"), "tlh")]
)
async def test_what_cannot_be_previewed_is_told(
    notifier: Stage, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    """An unknown account or language; no file is written."""
    await notifier.hears(an_account())

    refused = await previewed(notifier, tmp_path / "none", *words)

    assert refused.exit_code != 0
    assert told in refused.output
    assert not (tmp_path / "none").exists()


async def test_nothing_is_queued_or_changed_by_it(notifier: Stage, tmp_path: Path) -> None:
    """Looking is free."""
    await notifier.hears(an_account())

    await previewed(notifier, tmp_path, "acme")

    assert await notifier.count(Account) == 1
    assert await notifier.said() == []
