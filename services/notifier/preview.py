"""An account's emails as files: what a browser shows, with the logo inside, and the plain text. No letter is sent."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import get_args
from uuid import UUID

from services.notifier.emails import TO_REQUESTERS, Email, Facts
from services.notifier.letters import LOGO, compose
from services.notifier.tables import Account
from shared.contracts.notification import Kind
from shared.public_pages.language import Language


def write_letters(account: Account, language: Language, folder: Path, sender: str, now: datetime) -> Iterator[Path]:
    """Write a letter of every kind, in the language; tell the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in get_args(Kind):
        letter = compose(_email(kind, account, language, now), account, sender=sender, now=now)
        html, plain = (_text(letter, subtype) for subtype in ("html", "plain"))
        if account.logo:
            html = html.replace(
                f"cid:{LOGO}", f"data:{account.logo_media_type};base64,{b64encode(account.logo).decode()}"
            )
        for ending, text in (("html", html), ("txt", plain)):
            file = folder / f"{kind}.{language.tag}.{ending}"
            file.write_text(text, encoding="utf-8")
            yield file


def _text(letter: EmailMessage, subtype: str) -> str:
    part = letter.get_body((subtype,))
    assert part is not None
    return part.get_content()


def _email(kind: Kind, account: Account, language: Language, now: datetime) -> Email:
    """Make an email about a ticket that there is not."""
    to_requester = kind in TO_REQUESTERS
    asks = kind.startswith("survey_") and to_requester
    return Email(
        id=UUID(int=0),
        account_id=account.account_id,
        kind=kind,
        subject_id="preview",
        recipient="preview@example.org",
        recipient_name="",
        thread="preview",
        facts=Facts(
            ticket_id="preview",
            subject=language.gettext("Your request"),
            text="…",
            link="#" if to_requester else None,
            opt_out_link="https://example.org/" if asks else None,
            previous_status="open" if kind == "ticket_solved" else "resolved",
            expires_at=now + timedelta(days=14),
            locale=language.tag,
            score=2,
        ),
    )
