"""Addresses in what people write become links: http, https and mailto, and nothing that merely looks like one."""

from linkify_it import LinkifyIt
from markupsafe import Markup, escape

_links = LinkifyIt(options={"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
for _scheme in ("ftp:", "//"):
    _links.add(_scheme, None)


def linked(text: str) -> Markup:
    """Escape what a person wrote and make its addresses links, which tell nobody where they stood.

    Lines end in a tag, so that they do also where no style sheet is: in text browsers and readers' modes.
    """
    parts: list[Markup] = []
    position = 0
    for match in _links.match(text) or ():
        parts.append(escape(text[position : match.index]))
        parts.append(
            Markup('<a href="{}" rel="noopener noreferrer nofollow ugc" target="_blank">{}</a>').format(
                match.url, match.text
            )
        )
        position = match.last_index
    parts.append(escape(text[position:]))
    return Markup("").join(parts).replace("\n", Markup("<br>"))
