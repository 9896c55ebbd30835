"""Every text in every language: a new text without its translations fails here, and says where to go."""

import re
from pathlib import Path

import pytest
from babel import Locale
from babel.messages.catalog import Catalog, Message
from jinja2 import Environment

from deploy.translations import SPEAKING, catalogue, lacking, texts
from shared.public_pages.language import LANGUAGES

ROOT = Path(__file__).parents[2]
TRANSLATED = sorted(LANGUAGES - {"en"})
TEMPLATES = sorted(path for folder in SPEAKING for path in (ROOT / folder / "templates").iterdir())
ADVICE = "run `make translations` and translate what it names"


def said(message: Message) -> tuple[str, ...]:
    """A text's forms, one or as many as the language has."""
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)


def placeholders(text: str) -> set[str]:
    """The names of what is put into a text."""
    return set(re.findall(r"%\((\w+)\)s", text))


def entries(language: str) -> list[Message]:
    """A catalogue without its header."""
    return [message for message in catalogue(language) if message.id]


def test_the_languages_are_those_we_promise() -> None:
    """English is in the code; the others each have a catalogue."""
    assert TRANSLATED == ["ar", "de", "es", "fr", "ja", "pt"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_text_and_no_other(language: str) -> None:
    """What code and templates say is what translators see."""
    source = {message.id for message in texts() if message.id}

    assert {message.id for message in entries(language)} == source, ADVICE


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated_and_nobody_guessed(language: str) -> None:
    """No translation is missing in any plural form, and none is left as `fuzzy`."""
    assert [message.id for message in lacking(language)] == [], ADVICE


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_puts_the_same_things_in(language: str) -> None:
    """A name that is lost or misspelt would be lost to the reader, or fail. Only a number may be said in words."""
    for message in entries(language):
        original = placeholders(message.id if isinstance(message.id, str) else message.id[1])
        for form in said(message):
            missing = original - placeholders(form)
            assert placeholders(form) <= original, form
            assert not missing or (message.pluralizable and missing == {"number"}), form
            assert "%" not in re.sub(r"%\(\w+\)s", "", form)


@pytest.mark.parametrize("language", TRANSLATED)
def test_plural_forms_are_those_of_the_language(language: str) -> None:
    """As many forms as gettext's rule has, and the rule agrees with the CLDR's, which scripts go by in browsers."""
    source: Catalog = catalogue(language)
    locale = Locale(language)
    assert {len(said(message)) for message in entries(language) if message.pluralizable} == {source.num_plurals}

    rule = re.sub(r"\bn\b", "number", source.plural_expr)
    form_of: dict[str, set[int]] = {}
    for number in range(1000):
        form_of.setdefault(locale.plural_form(number), set()).add(_index(rule, number))

    assert all(len(forms) == 1 for forms in form_of.values())
    assert len(form_of) == source.num_plurals == len(set.union(*form_of.values()))


def _index(rule: str, number: int) -> int:
    """Compute a C plural rule: `a ? b : c` from right to left."""
    condition, _, rest = rule.strip("() ").partition("?")
    expression = condition.replace("&&", " and ").replace("||", " or ")
    value = int(eval(expression, {"number": number}))
    if not rest:
        return value
    yes, _, no = rest.partition(":")
    return _index(yes, number) if value else _index(no, number)


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_text_ends_as_its_original_does(language: str) -> None:
    """Questions stay questions, sentences end and labels do not. Japanese headings need no mark of exclamation."""
    ends = {"?": "?？؟", ".": ".。", "!": "!！。", ":": ":：", "…": "…"}
    for message in entries(language):
        original = message.id if isinstance(message.id, str) else message.id[0]
        for form in said(message):
            if original[-1] in ends and language != "ja":
                assert form[-1] in ends[original[-1]], form
            elif original[-1] not in ends:
                assert form[-1] not in ".:!…。：！", form
            assert form == form.strip()


def test_french_keeps_its_spaces() -> None:
    """A narrow no-break space before ? ! ; and a no-break one before the colon, so that no line begins with them."""
    for form in (form for message in entries("fr") for form in said(message)):
        assert not re.search(r"[^\u202f][?!;]", form), form
        assert not re.search(r"[^\u00a0]:", form), form
        assert "'" not in form, form


def test_japanese_and_arabic_have_their_own_marks() -> None:
    """Full-width in Japanese, turned round in Arabic."""
    for form in (form for message in entries("ja") for form in said(message)):
        assert not re.search(r"[,.?!:;]|\((?!\w+\)s)", re.sub(r"%\(\w+\)s", "", form)), form
    for form in (form for message in entries("ar") for form in said(message)):
        assert not re.search(r"[,?;]", form), form


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: f"{path.parents[1].name}/{path.name}")
def test_a_template_says_nothing_that_cannot_be_translated(template: Path) -> None:
    """Words stand in `_(…)`: none between the tags, none in an attribute that people see or hear."""
    bare = "".join(
        "{{}}" if kind == "variable_begin" else value for kind, value in _outside_of_expressions(template.read_text())
    )
    bare = re.sub(r"<style>.*?</style>|<!--.*?-->|<!doctype html>", "", bare, flags=re.DOTALL)
    attributes = re.findall(r"""\b(?:alt|title|aria-label|placeholder|data-busy)="([^"]*)\"""", bare)
    # Not words: entities, the query of a link in plain text, attributes that a macro gives.
    text = re.sub(r"""<[^>]*>|&\w+;|\?\w+=|[\w-]+="[^"]*\"""", "", bare)

    assert re.findall(r"[^\W\d_]+", text) == []
    assert [words for words in attributes if re.search(r"[^\W\d_]", words)] == []


def _outside_of_expressions(source: str):
    """The template's own text, with a mark where an expression stood."""
    return [(kind, value) for _, kind, value in Environment().lex(source) if kind in {"data", "variable_begin"}]
