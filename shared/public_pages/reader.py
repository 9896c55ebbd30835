"""Which language a reader gets.

A page: the requester's, as the help desk told it; else what the browser asks for; else the account's; else English.
A letter: the same without the browser. Each time the first that we speak.
"""

import re

from litestar import Request

from shared.public_pages.language import ENGLISH, Language, language_tagged

MOST_CHARACTERS = 500
"""Of Accept-Language; browsers send about 50."""


def language_of_page(request: Request, *, requester: str | None = None, account: str | None = None) -> Language:
    """Choose for a page; `requester` and `account` are BCP 47 tags, whatever the help desk wrote there."""
    return _first_spoken(requester, *accepted(request.headers.get("accept-language", "")), account)


def language_of_letter(*, requester: str | None = None, account: str | None = None) -> Language:
    """Choose for an email."""
    return _first_spoken(requester, account)


def accepted(header: str) -> list[str]:
    """Read Accept-Language (RFC 9110, 12.5.4): the tags it accepts, the most wanted first, ties as they stand."""
    wanted: list[tuple[float, str]] = []
    for item in header[:MOST_CHARACTERS].split(","):
        tag, _, weight = (part.strip() for part in item.partition(";"))
        found = re.fullmatch(r"q\s*=\s*([01](?:\.\d{0,3})?)", weight, re.ASCII) if weight else None
        quality = float(found[1]) if found else 0.0 if weight else 1.0
        if tag and quality > 0:
            wanted.append((quality, tag))
    return [tag for _, tag in sorted(wanted, key=lambda item: -item[0])]


def storable_tag(tag: str | None) -> str | None:
    """Keep what looks like a BCP 47 tag, spoken or not: an odd one must not cost the event it came in."""
    return tag if tag and re.fullmatch(r"[A-Za-z0-9_-]{2,35}", tag) else None


def _first_spoken(*tags: str | None) -> Language:
    return next((language for tag in tags if tag and (language := language_tagged(tag))), ENGLISH)
