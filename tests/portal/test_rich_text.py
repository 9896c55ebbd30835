"""How texts are shown: links, folded quotations, and the HTML that agents write."""

import re

import pytest

from services.portal.rich_text import MAX_HTML_LENGTH, Passage, formatted, harmless, passages
from services.portal.ticket import Message
from shared.public_pages.linked import linked
from tests.builders import a_reply_received, a_reply_sent, an_account
from tests.portal.conftest import link_of
from tests.stage import Stage


def shown(text: str) -> list[str]:
    """What of a text is not folded away."""
    return [passage.text for passage in passages(text) if not passage.quoted]


@pytest.mark.parametrize(
    "quotation",
    [
        "> It snapped.",
        "> It snapped.\n>\n> Rita",
        ">> older\n> old\n\n> still",
        "On Mon, 2 Mar 2026 at 12:00, Ada <ada@desk.example> wrote:\n> It snapped.",
        "On Mon, 2 Mar 2026 at 12:00, Ada Okafor\n<ada@desk.example> wrote:\n\n> It snapped.",
        "Am 02.03.2026 um 12:00 schrieb Ada Okafor:\n> Es ist gerissen.",
        "Le 2 mars 2026 à 12:00, Ada a écrit :\n\n> Cassé.",
        "2026年3月2日(月) 12:00 Ada <ada@desk.example>:\n> 折れました。",
        "-----Original Message-----\nFrom: Ada\nIt snapped.",
        "-------- Ursprüngliche Nachricht --------\nVon: Ada\n\nEs ist gerissen.",
        "---------- Forwarded message ---------\nFrom: Ada <ada@desk.example>\nTo: Rita\n\nIt snapped.",
        "________________________________\nFrom: Ada\nSent: Monday\nTo: Rita\nSubject: Pole\n\nIt snapped.",
        "From: Ada <ada@desk.example>\nSent: Monday\nTo: Rita\n\nIt snapped.",
        "*De :* Ada <ada@desk.example>\n*Envoyé :* lundi\n*À :* Rita\n\nCassé.",
        "差出人: Ada\n送信日時: 月曜日\n宛先: Rita\n\n折れました。",
        "Begin forwarded message:\n\nFrom: Ada\nSubject: Pole\nTo: Rita\n\nIt snapped.",
    ],
)
def test_what_is_quoted_is_folded_with_the_lines_that_say_whose_words_follow(quotation: str) -> None:
    """As common mail programs write it; what stands before is shown."""
    assert passages(f"Thank you!\n\n{quotation}") == [
        Passage("Thank you!", quoted=False),
        Passage(quotation, quoted=True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "My answers:\nyes",
        "--- Option A ---\nred\n--- Option B ---\nblue",
        "From: Berlin\nI want to go by train.",
        "Name: Rita\nEmail: rita@customer.example\nPhone: 1",
        "5 > 4 and a -> b",
        "----------\n",
        "It was 12:00:\n\nnothing came",
        "x" * 20_000,
    ],
)
def test_what_merely_looks_like_a_quotation_is_shown(text: str) -> None:
    """Nobody has to look for what somebody wrote themselves."""
    assert passages(text) == [Passage(text.strip("\n"), quoted=False)]


def test_answers_between_and_below_quoted_lines_are_shown() -> None:
    """Each quotation is folded by itself; a sentence that ends in a colon stays with who wrote it."""
    text = "Hello\n\n> Which colour?\nRed.\n> When?\n\nTo your last question:\n> Why?\nBecause."

    assert shown(text) == ["Hello", "Red.", "To your last question:", "Because."]


@pytest.mark.parametrize(
    "text", ["> All of it\n> is quoted", "---- Forwarded message ----\nFrom: x\nTo: y\n\nRead this"]
)
def test_a_text_that_is_nothing_but_a_quotation_is_shown(text: str) -> None:
    """A mail that was forwarded without a word is there to be read."""
    assert passages(text) == [Passage(text, quoted=False)]


@pytest.mark.parametrize("line", ["-" * 119, "From: x", " ", "a:", ">\n", "1:\n>", "x"])
def test_no_text_takes_long_to_fold(line: str) -> None:
    """A reply has at most 20,000 characters; none of them costs more than another."""
    text = "\n".join([line] * (20_000 // (len(line) + 1)))

    assert "".join(passage.text for passage in passages(text)).count(line.strip()) > 0


async def test_quoted_text_is_folded_on_the_page_and_its_links_work(portal: Stage) -> None:
    """It opens with one click, without scripts."""
    await portal.hears(
        an_account(), a_reply_received(body="Thanks\n\nOn 2 March, Ada wrote:\n> see https://ok.example\n")
    )

    page = (await portal.client.get(await link_of(portal))).text

    assert re.search(
        r'Thanks<details class="quoted"><summary>Show quoted text</summary><blockquote>'
        r'On 2 March, Ada wrote:<br>&gt; see <a href="https://ok.example" [^>]+>https://ok.example</a></blockquote></details>',
        page,
    )


def test_links_are_for_the_web_and_for_mail() -> None:
    """And tell nobody where they stood."""
    said = str(linked("mailto:ada@desk.example https://ok.example ftp://x.example javascript:alert(1)"))

    assert re.findall(r'href="([^"]+)"', said) == ["mailto:ada@desk.example", "https://ok.example"]
    assert said.count('rel="noopener noreferrer nofollow ugc"') == 2


@pytest.mark.parametrize(
    ("html", "kept"),
    [
        ("<p>Hi <b>Rita</b>,<br>see <em>this</em></p>", "<p>Hi <b>Rita</b>,<br>see <em>this</em></p>"),
        ("<h1 style='color:red'>Big</h1><ul><li class=x>one", "Big<ul><li>one</li></ul>"),
        ("<table><tr><td onclick=x()>1", "<table><tbody><tr><td>1</td></tr></tbody></table>"),
        ("<p title='x' lang=y id=z data-x=1>a", "<p>a</p>"),
        (
            "a<script>alert(1)</script><style>p{}</style><iframe src=x>b</iframe><svg><g/>c</svg><math><mi>d",
            "a",
        ),
        ("<img src='https://evil.example/pixel'>see", "see"),
        ("<!-- secret -->a", "a"),
        ("1 < 2 & 3", "1 &lt; 2 &amp; 3"),
    ],
)
def test_html_keeps_its_words_and_their_order(html: str, kept: str) -> None:
    """Paragraphs, lists, tables and links stay; what is run, loaded or styled goes."""
    assert harmless(html) == kept
    assert formatted(harmless(html)) == kept


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/t/x", "x", "#x", "?fresh-link=yes"]
)
def test_a_link_that_leads_nowhere_else_leads_nowhere(address: str) -> None:
    """Only http, https and mailto: a relative address would act on our own pages."""
    assert "href" not in harmless(f'<a href="{address}">x</a>')


def test_a_link_of_html_tells_nobody_where_it_stood() -> None:
    """Whatever `rel` it came with."""
    assert harmless('<a href="https://ok.example/?a=1&b=2" rel="opener" target="_top">x</a>') == (
        '<a href="https://ok.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow ugc">x</a>'
    )


@pytest.mark.parametrize("html", ["", "   ", "<p></p>", "<img src=x>", "<script>x</script>", "<p>x" * MAX_HTML_LENGTH])
async def test_html_that_cannot_be_shown_leaves_the_plain_text(portal: Stage, html: str) -> None:
    """Nothing to read, or too much of it."""
    await portal.hears(an_account(), a_reply_sent(body="Plain & simple", body_html=html))

    assert (await portal.row(Message)).body_html == ""
    assert 'dir="auto">Plain &amp; simple</div>' in (await portal.client.get(await link_of(portal))).text


async def test_an_agents_html_is_stored_clean_and_shown_and_the_plain_text_is_mailed(portal: Stage) -> None:
    """The page shows the formatting; the email repeats the words."""
    html = "<p onclick='x()'>A <b>new</b> pole</p><script>x()</script>\0"

    await portal.hears(an_account(), a_reply_sent(body="A new pole", body_html=html))

    assert (await portal.row(Message)).body_html == "<p>A <b>new</b> pole</p>"
    page = (await portal.client.get(await link_of(portal))).text
    assert '<div class="body rich" dir="auto"><p>A <b>new</b> pole</p></div>' in page
    (published,) = await portal.said()
    assert published.body == "A new pole"
