"""`python -m deploy.translations` brings the texts of code and templates into every language's catalogue.

What is new is added with no translation, or a fuzzy one when it resembles an old text; what is gone is dropped. A test
fails until each has its translation and no `fuzzy` mark. It prints what there is to do.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from shared.public_pages.language import TRANSLATIONS

CHECKOUT = Path(__file__).parents[1]
SPEAKING = ("shared/public_pages", "services/portal", "services/surveys", "services/notifier")
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2"), ("**/templates/**.txt", "jinja2")]
KEYWORDS = {**DEFAULT_KEYWORDS, "plural_forms": (1, 2)}
OPTIONS = {"**/templates/**": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}


def texts() -> Catalog:
    """Collect what code and templates say, in the order of files and lines."""
    found = Catalog()
    for folder in SPEAKING:
        for file, _line, text, _comments, _context in extract_from_dir(
            CHECKOUT / folder, METHODS, OPTIONS, keywords=KEYWORDS
        ):
            # No line numbers: a catalogue changes when a text does, not when code moves.
            found.add(text, locations=[(f"{folder}/{file}", 0)])
    return found


def catalogue(language: str) -> Catalog:
    """Read a language's catalogue."""
    with (TRANSLATIONS / f"{language}.po").open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str, source: Catalog) -> bytes:
    """Write a language's catalogue with the texts of `source`, each with the translation it had."""
    mine = catalogue(language)
    source.creation_date = mine.creation_date
    mine.update(source, update_header_comment=False)
    file = BytesIO()
    write_po(file, mine, width=110, ignore_obsolete=True, include_lineno=False)
    return file.getvalue()


def lacking(language: str) -> list[Message]:
    """Find what a language cannot say yet."""
    return [
        message for message in catalogue(language) if message.id and (message.fuzzy or not all(_forms(message.string)))
    ]


def _forms(said: Any) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def main() -> int:
    """Update all catalogues; the exit code is 1 when texts lack a translation."""
    lacks = 0
    for file in sorted(TRANSLATIONS.glob("*.po")):
        file.write_bytes(updated(file.stem, texts()))
        for message in lacking(file.stem):
            lacks += 1
            print(f"{file.relative_to(CHECKOUT)}: {_forms(message.id)[0]!r}{' (fuzzy)' if message.fuzzy else ''}")
    return 1 if lacks else 0


if __name__ == "__main__":
    sys.exit(main())
