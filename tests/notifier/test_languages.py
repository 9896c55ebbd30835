"""Letters in the reader's language, from the right where it is written so."""

from dataclasses import replace

import pytest

from services.notifier.emails import Email
from services.notifier.tables import Account
from shared.public_pages.language import LANGUAGES, language_tagged
from tests.builders import RITA, a_reply_received, a_ticket, a_ticket_reopened, a_ticket_solved, an_account
from tests.notifier.builders import (
    a_brand,
    a_letter,
    a_link_renewed,
    a_reply_published,
    a_survey_invited,
    an_email,
    html_of,
    text_of,
)
from tests.notifier.test_letters import KINDS, Tags
from tests.stage import Stage

GERMAN = replace(RITA, locale="de-CH")


async def test_requesters_are_written_to_in_their_language_and_agents_in_their_accounts(notifier: Stage) -> None:
    """An agent need not read what the requester reads."""
    ticket = a_ticket(version=3, status="resolved", requester=GERMAN)
    await notifier.hears(
        an_account(locale="fr"),
        a_reply_published(ticket=ticket),
        a_survey_invited(ticket=ticket),
        a_reply_received(ticket=ticket),
        a_ticket_reopened(ticket=ticket),
        a_link_renewed(ticket=ticket),
        a_ticket_solved(ticket=ticket),
    )

    account = await notifier.row(Account)
    brand = a_brand(locale=account.locale)
    spoken = {email.kind: a_letter(email, brand)["Content-Language"] for email in await notifier.rows(Email)}

    assert spoken == {
        "reply_published": "de-CH",
        "survey_invited": "de-CH",
        "reply_received": "fr",
        "ticket_reopened": "fr",
        "link_renewed": "de-CH",
        "ticket_solved": "fr",
    }


async def test_a_requester_of_no_known_language_is_written_to_in_the_accounts(notifier: Stage) -> None:
    """And in English where the account has none."""
    await notifier.hears(an_account(), a_reply_published(ticket=a_ticket(requester=replace(RITA, locale="tlh\0"))))

    (email,) = await notifier.rows(Email)

    assert a_letter(email, a_brand(locale="ja"))["Content-Language"] == "ja"
    assert a_letter(email, a_brand())["Content-Language"] == "en"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tag", sorted(LANGUAGES))
def test_a_letter_says_its_language_and_direction_where_any_program_looks(kind, tag: str) -> None:
    """In the header, on the page, and once more inside: webmail keeps neither html nor body."""
    letter = a_letter(an_email(kind, locale=tag))
    language = language_tagged(tag)
    assert language is not None

    page = Tags(html_of(letter))
    for element in (page.all("html")[0], page.all("body")[0], page.all("table")[0]):
        assert (element["lang"], element["dir"]) == (tag, language.direction)
    assert letter["Content-Language"] == tag
    assert letter["Subject"] == "Tent pole broke"


def test_a_survey_in_arabic_runs_from_the_right() -> None:
    """Text and lines between the stars are on their side, and the subject keeps its own direction."""
    html = html_of(a_letter(an_email("survey_invited", locale="ar", subject="Tent pole (Vidda 3)")))

    assert "text-align: right" in html
    assert "text-align: left" not in html
    assert "border-right: 0" in html
    assert "تم حل طلبك: <bdi>Tent pole (Vidda 3)</bdi>" in html
    assert "letter-spacing" not in html


def test_plain_text_in_arabic_begins_each_line_of_ours_from_the_right() -> None:
    """Programs take a line's direction from its first letter that has one, and pass over what is isolated."""
    said = text_of(a_letter(an_email("reply_received", locale="ar", author="Rita"), a_brand()))

    assert said.startswith("رد من \u2068Rita\u2069\nالتذكرة \u2068T-1\u2069: \u2068Tent pole broke\u2069\n")
    assert "\u2068" not in text_of(a_letter(an_email()))


@pytest.mark.parametrize(
    ("tag", "until"),
    [
        ("en", "You can answer until 16 March 2026, 13:00 (Europe/Berlin)."),
        ("de", "Sie können bis 16. März 2026, 13:00 (Europe/Berlin) antworten."),
        ("pt-PT", "Você pode responder até 16 de março de 2026, 13:00 (Europe/Berlin)."),
        ("ja", "回答期限：2026年3月16日 13:00（Europe/Berlin）"),
    ],
)
def test_until_when_is_written_in_the_language_and_the_accounts_zone(tag: str, until: str) -> None:
    """In both parts."""
    letter = a_letter(an_email("survey_invited", locale=tag))

    assert until in text_of(letter)
    assert until in Tags(html_of(letter)).text
