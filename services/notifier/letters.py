"""From an email's row to the letter: a text, the same as HTML, the account's logo inside. Pure.

Everything that people wrote is hostile here: headers are built by EmailMessage only, HTML is escaped by Jinja, and no
letter loads anything from anywhere.
"""

import hashlib
import re
import unicodedata
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import (
    Address,
    HeaderRegistry,
    MessageIDHeader,
    UniqueSingleAddressHeader,
    UniqueUnstructuredHeader,
)
from email.message import EmailMessage
from email.policy import SMTP, Policy
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from services.notifier.emails import Email
from services.notifier.tables import Account
from shared.contracts import SurveyWording
from shared.contracts.account import MAX_WORDING_LENGTH
from shared.public_pages.branding import luminance, text_colour_on
from shared.public_pages.labels import star_labels, status_label
from shared.public_pages.language import Language, teach
from shared.public_pages.reader import language_of_letter
from shared.public_pages.wording import in_language

MAX_SUBJECT_LENGTH = 150
MAX_NAME_LENGTH = 100
"""Characters of a subject and of a name; what is longer is cut and ends in an ellipsis."""

MAX_FILES = 20
"""Names of attachments in a letter; the page has them all."""

MAX_ADDRESS_LENGTH = 320
"""Characters: 64 before the @ and 255 behind it (RFC 5321, section 4.5.3.1)."""

LOGO = "logo"

# Left to itself, EmailMessage writes a long id in these headers as an encoded word, which no mail program threads by.
_HEADERS = HeaderRegistry()


class _AddressHeader(UniqueSingleAddressHeader):
    """From or To, in one line when it is plain ASCII: where Python breaks it, a name in quotes loses them.

    `"x, evil@x.example …" <rita@…>` would then be two addresses. Seen in CPython 3.11.
    """

    def fold(self, *, policy: Policy) -> str:
        """Write the header; RFC 5322 allows 998 characters in a line."""
        whole = policy.clone(max_line_length=998) if str(self).isascii() else policy
        return super().fold(policy=whole)  # pyright: ignore[reportAttributeAccessIssue] - a mix-in for BaseHeader


class _LinkHeader(UniqueUnstructuredHeader):
    """A link in one line, which would else be cut into encoded words where it is long."""

    def fold(self, *, policy: Policy) -> str:
        """Write the header; RFC 5322 allows 998 characters in a line."""
        return super().fold(policy=policy.clone(max_line_length=998))  # pyright: ignore[reportAttributeAccessIssue] - a mix-in for BaseHeader


_HEADERS.map_to_type("list-unsubscribe", cast(Any, _LinkHeader))
for _name in ("from", "to"):
    _HEADERS.map_to_type(_name, cast(Any, _AddressHeader))
for _name in ("in-reply-to", "references"):
    _HEADERS.map_to_type(_name, cast(Any, MessageIDHeader))
_POLICY = SMTP.clone(header_factory=_HEADERS)

_inliner = CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)


class NotAnAddress(Exception):
    """There is no way to write to what should be an address. Does not repeat it."""


def compose(email: Email, account: Account, *, sender: str, now: datetime) -> EmailMessage:
    """Write the letter: from the account's name at `sender`, dated `now`. Raises NotAnAddress."""
    language = language_of_letter(requester=email.facts.locale, account=account.locale)
    words = _words(email, account, language)
    domain = sender.rpartition("@")[2]
    root = f"<{hashlib.sha256(email.thread.encode()).hexdigest()[:32]}@{domain}>"

    message = EmailMessage(policy=_POLICY)
    message["From"] = _address(account.name, sender)
    message["To"] = address_of(email)
    # The same for all of a ticket's letters: Gmail threads by it, too.
    message["Subject"] = _in_header(words["subject"])
    message["Date"] = now
    message["Message-ID"] = message_id(email.id, sender)
    # No letter has this id; what has the same parent is one conversation.
    message["In-Reply-To"] = root
    message["References"] = root
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: answer no out-of-office notes to this
    message["X-Auto-Response-Suppress"] = "All"  # the same, for Exchange
    if words["opt_out_link"]:
        message["List-Unsubscribe"] = f"<{words['opt_out_link']}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058: a button of the mail program

    message.set_content(_render(f"{email.kind}.txt", words), cte="quoted-printable")
    html = _inliner.inline(_render(f"{email.kind}.html", words))
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = language.tag  # after the content, which takes its headers with it
    if account.logo and account.logo_media_type:
        _, html_part = message.iter_parts()
        maintype, _, subtype = account.logo_media_type.partition("/")
        assert isinstance(html_part, EmailMessage)
        html_part.add_related(
            account.logo,
            maintype,
            subtype,
            cid=f"<{LOGO}>",
            disposition="inline",
            filename=f"{LOGO}.{subtype}",
        )
    return message


def message_id(email_id: UUID, sender: str) -> str:
    """Name an email to mail servers, by its id and the domain of `sender`."""
    return f"<{email_id}@{sender.rpartition('@')[2]}>"


def address_of(email: Email) -> Address:
    """Write name and address as they stand on the letter. Raises NotAnAddress."""
    return _address(email.recipient_name, email.recipient)


def _words(email: Email, account: Account, language: Language) -> dict[str, Any]:
    """What the templates say."""
    facts = email.facts
    wording = in_language(account.survey_wording or {}, language) or SurveyWording()
    stars = star_labels(language)
    return {
        "language": language,
        # Outlook knows no `start`.
        "start": "right" if language.direction == "rtl" else "left",
        "name": one_line(account.name, MAX_NAME_LENGTH),
        "colour": account.colour,
        "on_colour": text_colour_on(account.colour),
        # A button in the colour of the paper still needs an edge.
        "edge": "#8a8a8a" if luminance(account.colour) > 0.7 else account.colour,
        "logo": bool(account.logo),
        "subject": one_line(facts.subject, MAX_SUBJECT_LENGTH) or language.gettext("(no subject)"),
        "ticket_id": facts.ticket_id,
        "author": one_line(facts.author, MAX_NAME_LENGTH) or language.gettext("Somebody"),
        "text": facts.text,
        "files": [one_line(name, MAX_NAME_LENGTH) for name in facts.files[:MAX_FILES]],
        "link": facts.link,
        "opt_out_link": _fit_for_a_header(facts.opt_out_link),
        "before": status_label(facts.previous_status, language) if facts.previous_status else None,
        "now": status_label("resolved" if email.kind == "ticket_solved" else "open", language),
        "until": language.date_time(facts.expires_at, account.zone) if facts.expires_at else None,
        "zone": account.time_zone,
        "stars": stars,
        "heading": one_line(wording.heading or "", MAX_SUBJECT_LENGTH) or language.gettext("How did we do?"),
        "question": one_line(wording.question or "", MAX_WORDING_LENGTH)
        or language.gettext("How satisfied are you with the help you got?"),
        "score": facts.score,
        "meaning": dict(stars).get(facts.score or 0, ""),
        "reason": one_line(facts.reason, MAX_WORDING_LENGTH),
    }


def _fit_for_a_header(link: str | None) -> str | None:
    """Leave out what is no link of one line: a letter without a way out is better than one that is not sent."""
    return link if link and re.fullmatch(r"https?://[!-;=?-~]+", link) and "=?" not in link else None


def one_line(text: str, longest: int) -> str:
    """Make a line of what somebody wrote: no control characters, no turning of the direction, no more than `longest`.

    Joiners stay: emoji and some scripts are written with them.
    """
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    kept = (
        " " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character
        for character in text
        if unicodedata.bidirectional(character) not in turning
    )
    line = " ".join("".join(kept).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _lines(text: str) -> list[str]:
    """The lines of what somebody wrote, without empty ones at either end and without control characters."""
    lines = [
        "".join(character for character in line.expandtabs(4) if unicodedata.category(character) != "Cc").rstrip()
        for line in text.splitlines()
    ]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def _as_html(text: str) -> Markup:
    """Escape a text and keep its line breaks; `white-space: pre-wrap` is not known everywhere."""
    return Markup("<br>\n").join(escape(line) for line in _lines(text))


def _indented(text: str) -> str:
    """Set a text off from our own words: whatever it says, it does not begin where we do."""
    return "\n".join(f"    {line}".rstrip() for line in _lines(text))


def _in_header(line: str) -> str:
    """Make a line fit to be in a header: no encoded word (RFC 2047) may stand in it.

    EmailMessage decodes what it is given before it writes it, so that `=?utf-8?q?=0D=0A?=` would begin a new header.
    """
    return line.replace("=?", "= ?")


def _address(name: str, spec: str) -> Address:
    if "=?" in spec or len(spec) > MAX_ADDRESS_LENGTH:
        raise NotAnAddress("not an address")
    local, _, domain = spec.rpartition("@")
    try:
        address = Address(
            display_name=_in_header(one_line(name, MAX_NAME_LENGTH)),
            addr_spec=f"{local}@{domain.encode('idna').decode()}",
        )
    except (ValueError, IndexError, HeaderParseError):
        # Not chained: these errors quote the address.
        raise NotAnAddress("not an address") from None
    return address


def _render(name: str, words: dict[str, Any]) -> str:
    return _templates.get_template(name).render(words)


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"], default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
teach(_templates)
_templates.filters["bold"] = Markup("<b>{}</b>").format
_templates.filters["as_html"] = _as_html
_templates.filters["indented"] = _indented
_templates.filters["one_line"] = one_line
