"""What is said in one language: texts and plurals by gettext, numbers and times by the CLDR's rules (Babel).

Texts are English in code and templates; translations/ has a catalogue for each other language.
"""

import unicodedata
from datetime import datetime
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.units import format_unit
from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

TRANSLATIONS = Path(__file__).parent / "translations"
LANGUAGES = frozenset({"en", *(file.stem for file in TRANSLATIONS.glob("*.po"))})
"""Those we speak, as ISO 639 codes."""

_FIRST_STRONG_ISOLATE, _POP_ISOLATE = "\u2068", "\u2069"


class Language:
    """A language as a reader wants it, with the region's way to write numbers and times where one is known."""

    def __init__(self, locale: Locale) -> None:
        self.tag = str(locale).replace("_", "-")
        """BCP 47, for `lang` and `Content-Language`."""
        self.direction: Literal["ltr", "rtl"] = "rtl" if locale.text_direction == "rtl" else "ltr"
        self._catalogue = _catalogue(locale.language)
        # English is also what everybody gets whose language we do not speak: a date that cannot be misread then.
        self._locale = Locale("en", "150") if self.tag == "en" else locale

    def gettext(self, text: str, /, **values: Any) -> str:
        """Translate a text and put values into it, each with a direction of its own. No markup."""
        return _filled(self._catalogue.gettext(text), values, self._isolated)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Translate what is said of a number of things, in the form that number wants; it is `%(number)s`."""
        return self._catalogue.ngettext(one, many, number) % {"number": self.number(number)}

    def plural_forms(self, one: str, many: str) -> dict[str, str]:
        """Translate what a script says of a number it will know: each form under its CLDR category, with {number}."""
        forms: dict[str, str] = {}
        for number in range(200):
            category = self._locale.plural_form(number)
            forms.setdefault(category, self._catalogue.ngettext(one, many, number) % {"number": "{number}"})
        return forms

    def number(self, number: int) -> str:
        """Write a number, with the digits 0 to 9."""
        return format_decimal(number, locale=self._locale)

    def file_size(self, size: int) -> str:
        """Write a number of bytes as people say it: 12 kB, 1.5 MB. What is smaller than a kilobyte counts as one."""
        unit, worth = ("megabyte", 1_000_000) if size >= 1_000_000 else ("kilobyte", 1_000)
        amount = max(1, round(size / worth, 1 if worth < size < 10 * worth else None))
        # As twelve are written: the form for one is spelled out in some languages, and would stand between symbols.
        twelve = format_unit(12, f"digital-{unit}", "short", locale=self._locale)
        return twelve.replace("12", format_decimal(amount, locale=self._locale))

    def date_time(self, moment: datetime, zone: ZoneInfo) -> str:
        """Write a time as it is in the zone, to the minute."""
        local = moment.astimezone(zone)
        return str(get_datetime_format("long", self._locale)).format(
            format_time(local, "short", locale=self._locale), format_date(local, "long", locale=self._locale)
        )

    def _isolated(self, value: Any) -> str:
        """Keep a value's direction from turning the text around it, where it could (Unicode bidi, UAX 9)."""
        text = str(value)
        turns = self.direction == "rtl" or any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text)
        return f"{_FIRST_STRONG_ISOLATE}{text}{_POP_ISOLATE}" if turns else text


def _filled(text: Any, values: dict[str, Any], isolated) -> Any:
    return text % {name: isolated(value) for name, value in values.items()} if values else text


def _in_bdi(value: Any) -> Any:
    """Isolate a value in HTML; what is markup already has seen to it, and a number needs none."""
    return value if isinstance(value, Markup | int) else Markup("<bdi>{}</bdi>").format(value)


@cache
def _catalogue(language: str) -> NullTranslations:
    """Read a catalogue as gettext does, from its source: nothing has to be compiled before."""
    if language == "en":
        return NullTranslations()
    compiled = BytesIO()
    with (TRANSLATIONS / f"{language}.po").open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=256)  # browsers send the tag
def language_tagged(tag: str) -> Language | None:
    """Find the language of a BCP 47 tag: in its region, else without; None when we do not speak it."""
    subtags = tag.replace("_", "-").split("-")
    language = subtags[0].lower()
    if language not in LANGUAGES:
        return None
    region = next((subtag.upper() for subtag in subtags[1:] if len(subtag) == 2), None)
    try:
        return Language(Locale(language, region))
    except (UnknownLocaleError, ValueError):
        return Language(Locale(language))


ENGLISH = Language(Locale("en"))


def teach(environment: Environment) -> None:
    """Let templates say `_("… %(name)s …", name=…)` and `ngettext(…)` in the `language` they are rendered with.

    In HTML the text is escaped and each value isolated in `<bdi>`, unless it is markup: then that is its filter's work.
    """
    environment.globals.update({"_": _text, "ngettext": _plural_text, "plural_forms": _plural_forms})


@pass_context
def _text(context: Context, text: str, /, **values: Any) -> str:
    language = _language_of(context)
    if not context.eval_ctx.autoescape:
        return language.gettext(text, **values)
    return _filled(escape(language.gettext(text)), values, _in_bdi)


@pass_context
def _plural_text(context: Context, one: str, many: str, number: int) -> str:
    said = _language_of(context).ngettext(one, many, number)
    return escape(said) if context.eval_ctx.autoescape else said


@pass_context
def _plural_forms(context: Context, one: str, many: str) -> dict[str, str]:
    return _language_of(context).plural_forms(one, many)


def _language_of(context: Context) -> Language:
    return context.get("language") or ENGLISH
