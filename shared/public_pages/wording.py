"""What an account says in its own words, found in the reader's language."""

from collections.abc import Mapping
from typing import TypeVar

from shared.public_pages.language import Language

T = TypeVar("T")


def in_language(said: Mapping[str, T], language: Language) -> T | None:
    """Find what is said in a language, by its BCP 47 tag: in its region, else without one, else in another region."""
    by_tag = {tag.replace("_", "-").lower(): words for tag, words in said.items()}
    tag = language.tag.lower()
    own = tag.split("-")[0]
    return next((by_tag[known] for known in (tag, own, *by_tag) if known in by_tag and _speaks(known, own)), None)


def _speaks(tag: str, language: str) -> bool:
    return tag.split("-", maxsplit=1)[0] == language
