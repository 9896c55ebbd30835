"""What a page is to a browser: read with a parser that follows the HTML standard, odd corners included."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import html5lib

ADDRESSES = {"href", "src", "action", "formaction", "data", "srcset", "poster", "cite", "background", "ping"}


@dataclass(frozen=True, slots=True)
class Element:
    """A tag and its attributes."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    text: str

    def __getitem__(self, name: str) -> str:
        return dict(self.attributes)[name]

    @property
    def shape(self) -> tuple[str, ...]:
        """The tag and the names of its attributes."""
        return (self.tag, *sorted(name for name, _ in self.attributes))

    @property
    def addresses(self) -> list[str]:
        """Where it leads or what it loads."""
        return [value for name, value in self.attributes if name in ADDRESSES]


@lru_cache(maxsize=32)  # the harmless page, over and over
def elements(html: str) -> tuple[Element, ...]:
    """Every element and comment of a page, in order."""
    return tuple(_walk(html5lib.parse(html, treebuilder="etree", namespaceHTMLElements=True)))


def _walk(node) -> Iterator[Element]:
    tag = node.tag if isinstance(node.tag, str) else "comment"
    yield Element(
        tag.replace("{http://www.w3.org/1999/xhtml}", ""),
        tuple((str(name), value) for name, value in node.attrib.items()),
        node.text or "",
    )
    for child in node:
        yield from _walk(child)


def shapes(html: str, *, leaving_out: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The skeleton of a page: the same for any two texts that are text."""
    return [element.shape for element in elements(html) if element.tag not in leaving_out]


@lru_cache(maxsize=32)
def mutated(html: str) -> str:
    """The page as a browser writes it out again: `innerHTML` to an editor, a sanitiser, a mail program."""
    return html5lib.serialize(
        html5lib.parse(html, treebuilder="etree"),
        tree="etree",
        quote_attr_values="always",
        omit_optional_tags=False,
        escape_lt_in_attrs=False,
        resolve_entities=False,
    )
