"""What is harmless of the HTML that agents write, and how texts are shown: links work, quoted text is folded.

HTML is cleaned before it is stored and again whenever it is shown, so neither a row of an older release nor one that
somebody else wrote gets past it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import nh3
from markupsafe import Markup

MAX_HTML_LENGTH = 60_000
"""Characters; of a longer one the plain text is shown. Deeply nested ones take a sixth of a second to clean."""

_BLOCKS = {"p", "div", "br", "hr", "blockquote", "pre", "ul", "ol", "li", "h3", "h4", "h5", "h6"}
_TABLES = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
_WORDS = {"a", "b", "strong", "i", "em", "u", "s", "del", "ins", "sub", "sup", "code", "kbd", "q"}
# Gone with what is in them: what is not text, and what browsers read by rules of its own (mutation XSS).
_DROPPED = {
    *("script", "style", "title", "template", "noscript", "noembed", "noframes", "iframe", "frameset", "object"),
    *("svg", "math", "textarea", "select", "xmp", "plaintext", "head", "audio", "video", "canvas"),
}
_cleaner = nh3.Cleaner(
    tags=_BLOCKS | _TABLES | _WORDS,
    clean_content_tags=_DROPPED,
    attributes={"a": {"href"}, "*": set()},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",  # it would lead somewhere on our own site
    link_rel="noopener noreferrer nofollow ugc",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def harmless(html: str) -> str:
    """Clean HTML down to words, paragraphs, lists, tables and links. Empty when nothing of it can be read."""
    return _cleaned(html) if len(html) <= MAX_HTML_LENGTH else ""


def formatted(html: str) -> Markup:
    """Show HTML that was cleaned before, as the filter `formatted`."""
    return Markup(_cleaned(html))  # noqa: S704


def _cleaned(html: str) -> str:
    cleaned = _cleaner.clean(html).strip() if html else ""
    return cleaned if Markup(cleaned).striptags().strip() else ""  # noqa: S704


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a plain text; `quoted` when it repeats what was said before."""

    text: str
    quoted: bool


# In the languages we speak, as common mail programs write them. Longer lines are none of these.
_LONGEST_MARK = 120
_SEPARATOR = re.compile(
    r"\s*-{2,}[^-]*(?:message|nachricht|mensaje|mensagem|meldung|e-?mail|رسالة|メッセージ)[^-]*-{2,}\s*", re.IGNORECASE
)
_RULE = re.compile(r"\s*(?:-{2,}|_{2,})\s*|.*:\s*")
_FROM = re.compile(r"\s*\*?(?:From|Von|De|من|差出人)\s?[:：]\*?\s*\S")
_TO = re.compile(r"\s*\*?(?:To|An|À|A|Para|إلى|宛先)\s?[:：]\*?\s*\S")
_WHO_AND_WHEN = re.compile(r"[\d@]")


def passages(text: str) -> list[Passage]:
    """Tell what somebody wrote from what they quoted, as the filter `passages`. All of it is there, in order.

    Quoted are lines that begin with `>`, with the line before that says who wrote them when, and a mail that is
    repeated below with its headers. A text that is nothing else is not taken apart: a forwarded mail is to be read.
    """
    found: list[Passage] = []
    written: list[str] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if (end := _end_of_quotation(lines, at)) == at:
            written.append(lines[at])
            at += 1
            continue
        said_by = _attribution(written) if _is_quoted(lines[at]) else 0
        quoted = [*written[len(written) - said_by :], *lines[at:end]]
        found += _passage(written[: len(written) - said_by], quoted=False) + _passage(quoted, quoted=True)
        written = []
        at = end
    found += _passage(written, quoted=False)
    return found if any(not passage.quoted for passage in found) else [Passage(text, quoted=False)]


def _passage(lines: Sequence[str], *, quoted: bool) -> list[Passage]:
    text = "\n".join(lines).strip("\n")
    return [Passage(text, quoted)] if text.strip() else []


def _end_of_quotation(lines: Sequence[str], at: int) -> int:
    """Find the line after the quotation that begins at a line; that line itself when none does."""
    if _repeats_a_mail(lines, at):
        return len(lines)
    if not _is_quoted(lines[at]):
        return at
    end = at
    for number in range(at, len(lines)):
        if _is_quoted(lines[number]):
            end = number + 1
        elif lines[number].strip():
            break
    return end


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(">")


def _repeats_a_mail(lines: Sequence[str], at: int) -> bool:
    """Tell whether a whole mail follows: behind a line that says so, or with its headers, behind a rule or not."""
    if not lines[at].strip() or len(lines[at]) > _LONGEST_MARK:
        return False
    if _SEPARATOR.fullmatch(lines[at]):
        return True
    if not (_FROM.match(lines[at]) or _RULE.fullmatch(lines[at])):
        return False
    head = [line for line in lines[at : at + 8] if line.strip()]
    if not _FROM.match(head[0]):
        head = head[1:]
    return bool(head) and bool(_FROM.match(head[0])) and any(_TO.match(line) for line in head[1:])


def _attribution(written: Sequence[str]) -> int:
    """Count the last lines that say whose words follow: they end in a colon and name a time or an address."""
    count = next((number for number, line in enumerate(reversed(written)) if line.strip()), len(written))
    said: list[str] = []
    for line in reversed(written[: len(written) - count]):
        if not line.strip() or len(said) == 3:
            break
        said.insert(0, line)
    if not said or len(said[-1]) > _LONGEST_MARK * 3 or not said[-1].rstrip().endswith((":", "：")):
        return 0
    # A mail program breaks it in two where it is long. Of a longer paragraph it is the shortest end that names one.
    for length in [len(said)] if len(said) <= 2 else range(1, 3):
        if _WHO_AND_WHEN.search("".join(said[-length:])):
            return count + length
    return 0
