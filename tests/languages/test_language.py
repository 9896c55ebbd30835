"""What is said in a language."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from jinja2 import DictLoader, Environment
from markupsafe import Markup

from shared.public_pages.labels import star_labels
from shared.public_pages.language import LANGUAGES, Language, language_tagged, teach

EVENING = datetime(2026, 3, 2, 21, 5, tzinfo=UTC)
LONG = ("Your reply is %(number)s character too long.", "Your reply is %(number)s characters too long.")


def spoken(tag: str) -> Language:
    """A language that we speak."""
    language = language_tagged(tag)
    assert language is not None
    return language


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "ردك أطول من المسموح بحرف واحد."),
        (2, "ردك أطول من المسموح بحرفين."),
        (3, "ردك أطول من المسموح بمقدار 3 أحرف."),
        (10, "ردك أطول من المسموح بمقدار 10 أحرف."),
        (11, "ردك أطول من المسموح بمقدار 11 حرفًا."),
        (99, "ردك أطول من المسموح بمقدار 99 حرفًا."),
        (100, "ردك أطول من المسموح بمقدار 100 حرف."),
        (1103, "ردك أطول من المسموح بمقدار 1,103 أحرف."),
    ],
)
def test_arabic_counts_in_six_forms(number: int, text: str) -> None:
    """One, two, few, many, a hundred; none is the sixth."""
    assert spoken("ar").ngettext(*LONG, number) == text


def test_scripts_get_every_form_that_a_browser_may_ask_for() -> None:
    """The browser picks by CLDR category, with no text of ours in the script."""
    left = ("%(number)s character left", "%(number)s characters left")

    assert spoken("en").plural_forms(*left) == {"one": "{number} character left", "other": "{number} characters left"}
    assert set(spoken("ar").plural_forms(*left)) == {"zero", "one", "two", "few", "many", "other"}
    assert spoken("ja").plural_forms(*left) == {"other": "残り{number}文字"}
    assert spoken("fr").plural_forms(*left)["one"] == "Encore {number} caractère"


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("en", "2 March 2026, 22:05"),
        ("en-US", "March 2, 2026, 10:05\u202fPM"),
        ("de", "2. März 2026, 22:05"),
        ("fr", "2 mars 2026, 22:05"),
        ("es", "2 de marzo de 2026, 22:05"),
        ("pt", "2 de março de 2026 22:05"),
        ("ar", "2 مارس 2026، 10:05 م"),
        ("ja", "2026年3月2日 22:05"),
    ],
)
def test_times_are_in_the_zone_and_written_as_the_region_does(tag: str, text: str) -> None:
    """Long enough not to be misread."""
    assert spoken(tag).date_time(EVENING, ZoneInfo("Europe/Oslo")) == text


def test_numbers_are_grouped_as_the_language_does() -> None:
    """With the digits 0 to 9 in every language, as the dates and the captcha have them."""
    written = {tag: spoken(tag).number(20_000) for tag in sorted(LANGUAGES)}

    assert written == {
        "ar": "20,000",
        "de": "20.000",
        "en": "20,000",
        "es": "20.000",
        "fr": "20\u202f000",
        "ja": "20,000",
        "pt": "20.000",
    }


def test_arabic_runs_from_right_to_left_and_the_others_do_not() -> None:
    """Pages and letters say so in `dir`."""
    assert {tag: spoken(tag).direction for tag in LANGUAGES} == dict.fromkeys(LANGUAGES, "ltr") | {"ar": "rtl"}


def test_in_plain_text_a_name_does_not_turn_the_line_around() -> None:
    """Isolates stand round what could: everything in Arabic, right-to-left names elsewhere, and nothing needless."""
    replied = "%(author)s replied"

    assert spoken("de").gettext(replied, author="Ada (Team 1)") == "Ada (Team 1) hat geantwortet"
    assert spoken("de").gettext(replied, author="ليلى") == "\u2068ليلى\u2069 hat geantwortet"
    assert spoken("ar").gettext(replied, author="Ada") == "رد من \u2068Ada\u2069"


def test_in_html_a_name_is_escaped_and_isolated() -> None:
    """Nobody who writes a template or a translation has to think of it."""
    environment = Environment(
        autoescape=True,
        loader=DictLoader({"page": '{{ _("%(author)s replied", author=name) }}|{{ _("Thank you!") }}'}),
    )
    teach(environment)
    template = environment.get_template("page")

    assert template.render(language=spoken("fr"), name="<i>") == "<bdi>&lt;i&gt;</bdi> a répondu|Merci\u202f!"
    assert template.render(language=spoken("fr"), name=Markup("<b>A</b>")).startswith("<b>A</b> a")
    assert template.render(name="%(x)s") == "<bdi>%(x)s</bdi> replied|Thank you!"


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_five_stars_have_five_names(tag: str) -> None:
    """No two are called the same, and each fits under its star."""
    labels = [label for _, label in star_labels(spoken(tag))]

    assert len(set(labels)) == 5
    assert max(len(word) for label in labels for word in label.split()) <= 10


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("en", ["1 kB", "1 kB", "1.5 kB", "999 kB", "1 MB", "1.5 MB", "20 MB"]),
        ("de", ["1 kB", "1 kB", "1,5 kB", "999 kB", "1 MB", "1,5 MB", "20 MB"]),
        ("fr", ["1 ko", "1 ko", "1,5 ko", "999 ko", "1 Mo", "1,5 Mo", "20 Mo"]),
    ],
)
def test_sizes_of_files_are_written_as_people_say_them(tag: str, written: list[str]) -> None:
    """Decimal units, as devices show them; nothing is smaller than a kilobyte."""
    language = language_tagged(tag)
    assert language

    sizes = [language.file_size(size) for size in (0, 400, 1_500, 999_000, 1_000_000, 1_500_000, 20_000_000)]

    assert [" ".join(size.split()) for size in sizes] == written


@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_every_language_has_words_for_sizes(tag: str) -> None:
    """The CLDR lacks some units in some languages; a name of its own would be shown then."""
    language = language_tagged(tag)
    assert language

    assert not [
        size
        for size in (1, 2_000, 3_300, 11_000, 1_000_000, 7_000_000, 12_000_000)
        if "digital" in language.file_size(size)
    ]
