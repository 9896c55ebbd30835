"""Names of files as people see and save them: whatever somebody's device or program calls a file, made harmless."""

import unicodedata
from urllib.parse import quote

MAX_NAME_BYTES = 255
"""What file systems take, in UTF-8."""

NAMELESS = "file"

# Joiners shape words in Persian and Hindi and hold emoji together. All other unseen characters of a name only deceive:
# controls, directions and their overrides, which let "gpj.exe" be read as "exe.jpg".
_JOINERS = "\u200c\u200d"
_NOT_IN_NAMES = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
"""What other systems refuse, or understand as something else than a name."""


def presentable(name: str) -> str:
    """Make a name of one file: no folders, nothing unseen, at most MAX_NAME_BYTES, never empty."""
    last = name.replace("\\", "/").rpartition("/")[2]
    composed = unicodedata.normalize("NFC", last)
    seen = "".join(letter if letter.isprintable() or letter in _JOINERS else " " for letter in composed)
    tidy = " ".join(seen.translate(_NOT_IN_NAMES).split()).strip(". ")
    return _shortened(tidy) or NAMELESS


def ending_as(name: str, endings: tuple[str, ...]) -> str:
    """Let a presentable name end in one of the endings of its type, so that it is opened as what it is."""
    if name.lower().endswith(endings):
        return name
    return _shortened(name, endings[0])


def content_disposition(name: str) -> str:
    """Make the header that has a file saved under its name (RFC 6266), with a plain one for old programs."""
    plain = "".join(letter if letter.isascii() and letter not in '"\\%' else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _shortened(name: str, ending: str = "") -> str:
    """Cut a name to MAX_NAME_BYTES and keep its end, which says what it is."""
    stem, dot, suffix = name.rpartition(".")
    if not ending and dot and len(suffix.encode()) <= 16:
        name, ending = stem, dot + suffix
    room = MAX_NAME_BYTES - len(ending.encode())
    return name.encode()[:room].decode(errors="ignore").rstrip(". ") + ending
