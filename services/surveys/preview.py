"""An account's pages as files that a browser shows by itself: what their style sheets say is inside, nothing runs."""

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from services.surveys.reasons import reasons_in
from services.surveys.tables import Account
from shared import contracts
from shared.contracts import SurveyWording
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages.branding import text_colour_on
from shared.public_pages.labels import star_labels
from shared.public_pages.language import Language
from shared.public_pages.pages import HERE, templates
from shared.public_pages.wording import in_language

FOLDER = Path(__file__).parent
ANSWERED_WITH = 2
"""Stars: with these the page shows everything that it can."""


def write_pages(account: Account, language: Language, folder: Path, now: datetime) -> Iterator[Path]:
    """Write the question, the thanks and the choice not to be asked; tell the files."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = templates(FOLDER)
    words = _words(account, language, now)
    for name in ("survey", "thanks", "opt_out"):
        typed = {"score": str(ANSWERED_WITH), "comment": "", "reason": ""} if name == "survey" else ""
        html = environment.get_template(f"{name}.html").render(words, typed=typed)
        file = folder / f"{name}.{language.tag}.html"
        file.write_text(_by_itself(html, account), encoding="utf-8")
        yield file


def _words(account: Account, language: Language, now: datetime) -> dict[str, Any]:
    """What the templates say, of a ticket that there is not."""
    expires_at = now + timedelta(days=account.survey_policy.expires_after_days)
    facts = contracts.Survey(
        survey_id="preview",
        ticket_id="preview",
        resolved_version=1,
        subject=language.gettext("Your request"),
        requester_name="",
        priority="normal",
        channel="email",
        created_at=now,
        expires_at=expires_at,
    )
    wording = in_language(account.survey_policy.wording, language) or SurveyWording()
    return {
        "language": language,
        "brand": account.brand,
        "zone": account.zone,
        "action": "#",
        "page_of_survey": "#",
        "facts": facts,
        "expires_at": expires_at,
        "meanings": star_labels(language),
        "reasons": reasons_in(language, account.survey_policy),
        "wording": wording,
        "thanks": wording.thanks,
        "comment_limit": MAX_COMMENT_LENGTH,
        "message_limit": MAX_COMMENT_LENGTH,
        "problems": (),
        "wrong_fields": set(),
        "code_challenge": "preview",
        "shown": "",
        "low": True,
        "sent": False,
        "asked": False,
        "opted_out": False,
        "again": "again",
    }


def _by_itself(html: str, account: Account) -> str:
    """Put style sheets and logo inside, and take out what only works behind the page's own address."""
    colours = f":root{{--brand:{account.colour};--on-brand:{text_colour_on(account.colour)}}}"

    def style(link: re.Match[str]) -> str:
        name = link[1].removeprefix("/static/").partition("?")[0]
        for folder in (FOLDER / "static", HERE / "static"):
            if (folder / name).is_file():
                return f"<style>{(folder / name).read_text(encoding='utf-8')}</style>"
        return f"<style>{colours}</style>"

    html = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    html = re.sub(r'<link rel="stylesheet" href="([^"]*)">', style, html)
    html = re.sub(r'<link rel="icon"[^>]*>', "", html)
    html = re.sub(r' (src|href)="/captcha/[^"]*"', r' \1="data:,"', html)
    if account.logo and account.logo_digest:
        logo = f"data:{account.logo_media_type};base64,{b64encode(account.logo).decode()}"
        html = html.replace(f"/brand/{account.logo_digest}/logo", escape(logo))
    return html
