"""What letters say and how they are built: for every mail program, and against everything people write."""

import re
from datetime import timedelta
from email import message_from_bytes, policy
from html.parser import HTMLParser
from typing import get_args

import pytest

from services.notifier.emails import Email
from services.notifier.letters import NotAnAddress, compose, one_line
from shared.contracts import SurveyWording
from shared.contracts.notification import Kind
from tests.builders import NOON
from tests.notifier.builders import (
    OPT_OUT_LINK,
    PNG,
    SURVEY_LINK,
    TICKET_LINK,
    a_brand,
    a_letter,
    an_email,
    html_of,
    text_of,
)

KINDS = get_args(Kind)
HOSTILE = (
    'x\r\nBcc: everyone@desk.example\r\n\r\n"><script>alert(1)</script> {{ 7*7 }} \u202edlrow\u2066 👩🏽‍🚀 "q" \x00\x07'
)


class Tags(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "br":
            self.text += "\n"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def as_received(email: Email, **brand) -> tuple:
    """A letter after its journey, and the bytes that travelled."""
    raw = a_letter(email, a_brand(**brand)).as_bytes()
    return message_from_bytes(raw, policy=policy.default), raw


def test_a_reply_shows_who_wrote_what_and_one_button() -> None:
    """The requester can read the answer in the mail and go to the ticket, in either part."""
    letter = a_letter(an_email(text="Hello Rita,\nit is on its way."))

    assert text_of(letter).startswith("Ada Okafor replied: Tent pole broke\n\n    Hello Rita,\n    it is on its way.\n")
    assert f"\n{TICKET_LINK}\n" in text_of(letter)
    page = Tags(html_of(letter))
    assert [a["href"] for a in page.all("a")] == [TICKET_LINK]
    assert "Ada Okafor replied" in page.text
    assert "Hello Rita,\n\nit is on its way." in page.text


def test_a_survey_has_five_stars_the_plain_link_and_its_end() -> None:
    """One tap is a score; the page can also be opened without one; the time is in the account's zone."""
    letter = a_letter(an_email("survey_invited", link=SURVEY_LINK))

    page = Tags(html_of(letter))
    scored = [f"{SURVEY_LINK}?score={score}" for score in range(1, 6)]
    assert [a["href"] for a in page.all("a")] == [*scored, SURVEY_LINK, OPT_OUT_LINK]
    for said in (text_of(letter), page.text):
        assert "How did we do?" in said
        assert "You can answer until 16 March 2026, 13:00 (Europe/Berlin)." in said
        for word in ("Very bad", "Bad", "Okay", "Good", "Very good"):
            assert word in said
    assert re.findall(r"^https.*$", text_of(letter), re.MULTILINE) == [*reversed(scored), SURVEY_LINK, OPT_OUT_LINK]


def test_an_assignee_reads_what_the_requester_wrote() -> None:
    """The agent knows the ticket, who wrote and what; agents get no link."""
    letter = a_letter(an_email("reply_received", author="Rita Gómez", text="Thank you!", link=None))

    for said in (text_of(letter), Tags(html_of(letter)).text):
        for part in ("Rita Gómez replied", "T-1", "Tent pole broke", "Thank you!"):
            assert part in said
    assert "http" not in text_of(letter)


@pytest.mark.parametrize("status", ["pending", "resolved"])
def test_agents_learn_who_reopened_from_which_status(status: str) -> None:
    """Assignee and watchers can judge from the mail what happened."""
    letter = a_letter(
        an_email("ticket_reopened", author="Rita Gómez", text="Again!", link=None, previous_status=status)
    )

    for said in (text_of(letter), Tags(html_of(letter)).text):
        for part in ("Rita Gómez reopened a ticket", f"It was {status.capitalize()} and is now Open.", "Again!"):
            assert part in said


def test_an_assignee_learns_that_a_ticket_is_solved() -> None:
    """By whom, and from which status; there is nothing to read and nothing to click."""
    letter = a_letter(an_email("ticket_solved", author="Rita Gómez", text="", link=None, previous_status="pending"))

    for said in (text_of(letter), Tags(html_of(letter)).text):
        for part in ("Rita Gómez marked a ticket as solved", "T-1", "It was Pending and is now Resolved."):
            assert part in said
    assert "http" not in text_of(letter)


def test_a_fresh_link_comes_with_what_it_opens_and_why_it_came() -> None:
    """Who did not ask for it learns that nobody else has it."""
    letter = a_letter(an_email("link_renewed", author="", text=""))

    for said in (text_of(letter), Tags(html_of(letter)).text):
        for part in ("Tent pole broke", "Somebody asked for it with an older link", "This link is yours alone"):
            assert part in said
    assert TICKET_LINK in text_of(letter)
    assert TICKET_LINK in html_of(letter)


@pytest.mark.parametrize("kind", KINDS)
def test_headers_name_sender_thread_and_machine(kind) -> None:
    """Mail programs show the account's name, put a ticket's mails together, and answer none of them by themselves."""
    letter, _ = as_received(an_email(kind))

    assert str(letter["From"]) == "Acme Outdoor <support@desk.example>"
    assert letter["To"].addresses[0].display_name == "Rita Gómez"
    assert letter["To"].addresses[0].addr_spec == "rita@customer.example"
    assert letter["Subject"] == "Tent pole broke"
    assert letter["Date"].datetime == NOON
    assert letter["Message-ID"] == "<01950000-0000-7000-8000-000000000001@desk.example>"
    assert letter["In-Reply-To"] == letter["References"]
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["X-Auto-Response-Suppress"] == "All"


def test_letters_of_one_ticket_share_a_thread_and_those_of_others_do_not() -> None:
    """The thread is the ticket's, whatever the letter."""
    roots = {a_letter(an_email(kind))["References"] for kind in KINDS}
    other = an_email()
    other.thread = "acme/T-2"

    assert len(roots) == 1
    assert a_letter(other)["References"] not in roots


def test_a_long_domain_leaves_ids_as_they_are() -> None:
    """Python writes long ids as encoded words unless told not to; no program threads by those."""
    domain = "a-rather-long-name-for-a-host." * 3 + "example"
    raw = compose(an_email(), a_brand(), sender=f"support@{domain}", now=NOON).as_bytes().decode()

    for header in ("Message-ID", "In-Reply-To", "References"):
        assert re.search(rf"^{header}:\s+<[0-9a-f-]+@{re.escape(domain)}>\r$", raw, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_texts_stay_texts(kind) -> None:
    """Nothing that anybody writes becomes a header, markup, a template or a turned line."""
    email = an_email(kind, subject=HOSTILE, author=HOSTILE, text=HOSTILE, ticket_id='<b>"')
    email.recipient_name = HOSTILE
    letter, raw = as_received(email, name=HOSTILE)

    head = raw.partition(b"\r\n\r\n")[0]
    assert letter["Bcc"] is None
    assert b"\nBcc:" not in head
    assert [address.addr_spec for address in letter["To"].addresses] == ["rita@customer.example"]
    assert [address.addr_spec for address in letter["From"].addresses] == ["support@desk.example"]
    page = Tags(html_of(letter))
    assert not page.all("script")
    for said in (html_of(letter), text_of(letter), str(letter["Subject"])):
        assert "{{ 7*7 }}" in said
        assert "\x00" not in said
        assert "\x07" not in said
    assert "\u202e" not in letter["Subject"] + letter["From"].addresses[0].display_name
    assert "👩🏽‍🚀" in letter["Subject"]
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.isascii()


def test_text_is_set_off_from_our_own_words() -> None:
    """A reply cannot pretend to be the letter: what people wrote never begins where our words do."""
    letter = a_letter(an_email(text="Read and reply\nhttps://evil.example\u2028https://worse.example\r.\rFrom me"))

    said = text_of(letter)
    assert said.count("\nRead and reply\n") == 1
    assert "\nhttps://evil.example" not in said
    assert "\nhttps://worse.example" not in said


def test_a_letter_of_20_000_characters_arrives_whole() -> None:
    """Long replies are not cut further and keep within the line lengths that SMTP allows."""
    body = "\n".join(["Ω" * 1999] * 10)
    letter, raw = as_received(an_email(text=body))

    assert text_of(letter).count("Ω" * 1999) == 10
    assert html_of(letter).count("Ω" * 1999) == 10
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.isascii()


def test_subjects_and_names_are_lines_of_bounded_length() -> None:
    """A mailbox's list shows one line."""
    assert one_line(" a\r\n b\t\x85\u2029c ", 150) == "a b c"
    assert one_line("x" * 200, 150) == "x" * 149 + "…"
    assert a_letter(an_email(subject=" \r\n "))["Subject"] == "(no subject)"


@pytest.mark.parametrize(
    "name", ['Quotes "R" Us', "Ärger & Söhne, GmbH", "أكمي", "comma, <angle>", "semi; colon: x", "@"]
)
def test_display_names_survive_the_journey(name: str) -> None:
    """What an account or a person is called is what mail programs show."""
    email = an_email()
    email.recipient_name = name
    letter, _ = as_received(email, name=name)

    assert letter["From"].addresses[0].display_name == name
    assert letter["To"].addresses[0].display_name == name


@pytest.mark.parametrize(
    "address",
    [
        "rita",
        "@customer.example",
        "rita@",
        "rita@x..example",
        "a b@c.example",
        "a@b.example, c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "ríta@customer.example",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(address: str) -> None:
    """A letter never goes to somebody it is not for."""
    with pytest.raises(NotAnAddress) as refused:
        a_letter(an_email(to=address))

    assert str(refused.value) == "not an address"


def test_domains_in_any_script_can_be_written_to() -> None:
    """An address with an international domain is written as mail servers know it."""
    assert a_letter(an_email(to="rita@bücher.example"))["To"].addresses[0].addr_spec == "rita@xn--bcher-kva.example"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logo", [PNG, None])
def test_nothing_is_loaded_from_anywhere(kind, logo) -> None:
    """Opening a letter tells nobody; pictures are inside, and scripts and style sheets are not there at all."""
    html = html_of(a_letter(an_email(kind), a_brand(logo=logo, logo_media_type="image/png" if logo else None)))

    page = Tags(html)
    assert {img["src"] for img in page.all("img")} == ({"cid:logo"} if logo else set())
    assert not {"link", "script", "iframe", "video", "audio", "object", "form", "base"} & {tag for tag, _ in page.found}
    assert "url(" not in html
    assert "@import" not in html


def test_the_logo_travels_inside_and_has_the_accounts_name() -> None:
    """The logo shows without loading, and with images off the account's name stands there."""
    letter, _ = as_received(an_email(), logo=PNG, logo_media_type="image/png")

    (picture,) = [part for part in letter.walk() if part.get_content_type() == "image/png"]
    assert picture["Content-ID"] == "<logo>"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_content() == PNG
    assert Tags(html_of(letter)).all("img")[0]["alt"] == "Acme Outdoor"
    assert [part.get_content_type() for part in letter.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]


def test_without_a_logo_the_name_stands_there() -> None:
    """Every letter says whose it is."""
    letter = a_letter(an_email())

    assert Tags(html_of(letter)).text.count("Acme Outdoor") == 2
    assert [part.get_content_type() for part in letter.walk()] == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize(("colour", "on_colour"), [("#ffd400", "#000000"), ("#0b6e4f", "#ffffff")])
def test_the_button_is_in_the_accounts_colour_and_readable(colour: str, on_colour: str) -> None:
    """Whatever the colour, the words on it can be read."""
    style = Tags(html_of(a_letter(an_email(), a_brand(colour=colour)))).all("a")[0]["style"] or ""

    assert f"background: {colour}" in style
    assert f"color: {on_colour}" in style


def test_a_button_in_the_colour_of_the_paper_has_an_edge() -> None:
    """A white account's button is seen as a button."""
    style = Tags(html_of(a_letter(an_email(), a_brand(colour="#ffffff")))).all("a")[0]["style"] or ""

    assert "border: 1px solid #8a8a8a" in style


@pytest.mark.parametrize("kind", KINDS)
def test_language_direction_and_dark_mode_are_declared(kind) -> None:
    """Screen readers know the language, Arabic runs from the right, and night is dark."""
    page = Tags(html_of(a_letter(an_email(kind))))

    assert page.all("html")[0]["lang"] == "en"
    assert {"name": "color-scheme", "content": "light dark"} in page.all("meta")
    assert "prefers-color-scheme: dark" in page.text
    repeats_what_people_wrote = kind in {"reply_published", "reply_received", "ticket_reopened"}
    assert not repeats_what_people_wrote or "auto" in {div.get("dir") for div in page.all("div")}


def test_times_are_in_the_accounts_zone() -> None:
    """An account in Tokyo speaks of Tokyo's days."""
    said = text_of(
        a_letter(an_email("survey_invited", expires_at=NOON + timedelta(hours=5)), a_brand(time_zone="Asia/Tokyo"))
    )

    assert "until 3 March 2026, 02:00 (Asia/Tokyo)" in said


def test_a_letter_written_again_is_the_same_letter() -> None:
    """A repeat after a crash has the same id, so that mailboxes know it."""
    assert a_letter(an_email())["Message-ID"] == a_letter(an_email())["Message-ID"]


@pytest.mark.parametrize("kind", ["survey_invited", "survey_reminded"])
def test_a_survey_can_be_left_by_one_click_of_the_mail_program(kind) -> None:
    """RFC 8058: both headers, the link in one line whatever its length; and a visible line for everybody else."""
    long = "https://surveys.example/" + "a" * 100 + "/u/" + "o" * 43
    letter, raw = as_received(an_email(kind, opt_out_link=long))

    assert f"\r\nList-Unsubscribe: <{long}>\r\n".encode() in raw
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert f"\nNo more surveys\n{long}\n" in text_of(letter)
    assert long in [a["href"] for a in Tags(html_of(letter)).all("a")]


@pytest.mark.parametrize("kind", ["reply_published", "reply_received", "ticket_reopened", "survey_submitted"])
def test_what_is_no_survey_cannot_be_left(kind) -> None:
    """Answers to what somebody asked are no list."""
    assert a_letter(an_email(kind))["List-Unsubscribe"] is None


@pytest.mark.parametrize(
    "link",
    [
        "https://x.example/\r\nBcc: evil@x.example",
        "https://x.example/>, <mailto:evil@x.example",
        "mailto:a@b.example",
        "https://x.example/=?utf-8?q?=0D=0ABcc=3A_a=40b.example?=",
        "",
    ],
)
def test_a_way_out_that_is_no_link_is_left_out_and_the_letter_goes(link: str) -> None:
    """Header injection: what came in an event is put into a header only when it is a link of one line."""
    letter, raw = as_received(an_email("survey_invited", opt_out_link=link))

    assert letter["List-Unsubscribe"] is None
    assert b"\nBcc:" not in raw
    assert "No more surveys" not in text_of(letter)


def test_an_account_asks_in_its_own_words() -> None:
    """In the reader's language, as plain text of one line; in ours where it has none."""
    wording = {"de": SurveyWording(heading="Alles <b>gut</b>?", question="Wie war\n es?")}
    german, english = (
        a_letter(an_email("survey_invited", locale=tag), a_brand(survey_wording=wording)) for tag in ("de-AT", "en")
    )

    assert text_of(german).startswith("Alles <b>gut</b>?\n")
    assert "\nWie war es?\n" in text_of(german)
    assert "Alles &lt;b&gt;gut&lt;/b&gt;?" in html_of(german)
    assert text_of(english).startswith("How did we do?\n")


def test_a_reminder_says_that_it_is_the_only_one() -> None:
    """Who is asked twice may wonder how often they will be."""
    for said in (
        text_of(a_letter(an_email("survey_reminded"))),
        Tags(html_of(a_letter(an_email("survey_reminded")))).text,
    ):
        assert "You have not answered yet. This is our only reminder." in said


def test_a_low_rating_says_who_how_low_and_why() -> None:
    """Whoever can do something about it need not look anything up."""
    letter = a_letter(an_email("survey_submitted", author="Rita Gómez", text="Still broken.", link=None))

    for said in (text_of(letter), Tags(html_of(letter)).text):
        for part in ("Low rating from Rita Gómez", "2 of 5: Bad", "It took too long", "Still broken.", "T-1"):
            assert part in said
    bare = text_of(a_letter(an_email("survey_submitted", author="Rita Gómez", text="", reason="", link=None)))
    assert "\n\n\n" not in bare.partition("-- ")[0].rstrip()


@pytest.mark.parametrize("kind", ["reply_published", "reply_received"])
def test_a_letter_names_the_files_that_wait_on_the_page(kind: str) -> None:
    """Who reads only the email must know that there is more; what files are called injects nothing."""
    names = ("Manual.pdf", f"{HOSTILE}.jpg", "صورة.jpg")
    with_files = an_email(kind, files=names)

    received, _ = as_received(with_files)

    assert "Attachments: \u2068Manual.pdf · x Bcc: everyone@desk.example" in " ".join(text_of(received).split())
    assert "Manual.pdf" in Tags(html_of(received)).text
    assert not Tags(html_of(received)).all("script")
    assert received["Bcc"] is None
    assert "Attachments" not in text_of(as_received(an_email(kind))[0])
