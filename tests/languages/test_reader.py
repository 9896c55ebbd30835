"""Which language a reader gets."""

from typing import cast

import pytest
from litestar import Request

from shared.public_pages.reader import accepted, language_of_letter, language_of_page, storable_tag


class Browser:
    """A request, as far as a language is chosen by it."""

    def __init__(self, accept_language: str | None) -> None:
        self.headers = {"accept-language": accept_language} if accept_language is not None else {}


def page_language(accept_language: str | None = None, **tags: str | None) -> str:
    """The tag of the language that a page gets."""
    return language_of_page(cast(Request, Browser(accept_language)), **tags).tag


def test_the_requesters_language_comes_first() -> None:
    """The help desk knows the person; the email that led here was in that language, too."""
    assert page_language("de", requester="fr", account="es") == "fr"


def test_else_the_browsers_then_the_accounts_then_english() -> None:
    """What we know of the reader goes before what we know of the company."""
    assert page_language("de", account="es") == "de"
    assert page_language("zh-CN, zh;q=0.9", requester="it", account="es") == "es"
    assert page_language("zh", requester="xx") == "en"
    assert page_language() == "en"


def test_letters_know_no_browser() -> None:
    """The requester's, the account's, English."""
    assert language_of_letter(requester="ja", account="de").tag == "ja"
    assert language_of_letter(requester="tlh", account="de").tag == "de"
    assert language_of_letter().tag == "en"


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("de", ["de"]),
        ("de-CH, fr;q=0.8, en;q=0.9", ["de-CH", "en", "fr"]),
        ("fr;q=0.5,de;q=0.5", ["fr", "de"]),
        ("en;q=0, de;q=0.1", ["de"]),
        ("en;q=1.000 ,de ; q = 0.2", ["en", "de"]),
        ("de;q=nonsense, fr", ["fr"]),
        ("de;q=٠٫٥, fr", ["fr"]),
        ("*", ["*"]),
        (",,;q=1, ,", []),
        ("", []),
    ],
)
def test_accept_language_is_read_by_weight(header: str, tags: list[str]) -> None:
    """RFC 9110, 12.5.4."""
    assert accepted(header) == tags


@pytest.mark.parametrize(
    ("tag", "spoken"),
    [
        ("pt-BR", "pt-BR"),
        ("PT_br", "pt-BR"),
        ("pt", "pt"),
        ("en-us", "en-US"),
        ("de-XX", "de"),
        ("ar-Arab-EG-x-private", "ar-EG"),
        ("zh", "en"),
        ("*", "en"),
        ("../../etc/passwd", "en"),
        ("de\0", "en"),
        ("d" * 10_000, "en"),
        ("", "en"),
    ],
)
def test_a_region_falls_back_to_its_language_and_nonsense_to_english(tag: str, spoken: str) -> None:
    """Whatever stands there, the page comes."""
    assert page_language(tag) == spoken
    assert page_language(requester=tag, account=tag) == spoken


def test_a_header_without_end_costs_nothing() -> None:
    """Only its beginning is read."""
    assert len(accepted("de," * 100_000)) < 200


def test_an_account_keeps_any_tag_and_no_nonsense() -> None:
    """A language that is learnt later is there already; what no database takes is not kept."""
    assert storable_tag("it-IT") == "it-IT"
    assert [storable_tag(tag) for tag in (None, "", "a\0b", "x" * 36, "de DE")] == [None] * 5
