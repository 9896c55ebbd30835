"""What a requester's file is, by its bytes. Neither its name nor what the browser claims decides.

The types are those that devices show without running anything. No HTML and SVG, which can carry scripts, no programs,
no archives, and no documents of the old kind, which carry macros and do not say so.
"""

from dataclasses import dataclass

import filetype

HEAD_BYTES = 8192
"""What has to be seen of a file to know its type."""

TEXT = "text/plain"
UNKNOWN = "application/octet-stream"

ENDINGS: dict[str, tuple[str, ...]] = {
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/heic": (".heic", ".heif"),
    "image/avif": (".avif",),
    "application/pdf": (".pdf",),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (".docx",),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": (".xlsx",),
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": (".pptx",),
    "application/vnd.oasis.opendocument.text": (".odt",),
    "application/vnd.oasis.opendocument.spreadsheet": (".ods",),
    "application/vnd.oasis.opendocument.presentation": (".odp",),
    "video/mp4": (".mp4", ".m4v"),
    "video/quicktime": (".mov",),
    "video/webm": (".webm",),
    "audio/mpeg": (".mp3",),
    "audio/mp4": (".m4a",),
    "audio/ogg": (".ogg", ".oga", ".opus"),
    "audio/x-wav": (".wav",),
    TEXT: (".txt", ".csv", ".log", ".md"),
}
"""What is taken, and how its names may end. A file of another ending gets the first one behind it."""

_NOT_CONTROLS = bytes(code for code in range(256) if code >= 32 or code in b"\t\n\f\r")


@dataclass(frozen=True, slots=True)
class FileType:
    """A type of ENDINGS."""

    media_type: str

    @property
    def endings(self) -> tuple[str, ...]:
        """How names of this type may end."""
        return ENDINGS[self.media_type]

    def can_go_on_with(self, chunk: bytes) -> bool:
        """Tell whether more bytes are what the head promised. Only text is text from beginning to end."""
        return self.media_type != TEXT or _is_text(chunk)


def type_of(head: bytes) -> FileType | None:
    """Find the type of a file from its first HEAD_BYTES; None for what is not taken."""
    found = filetype.guess(head)
    if found is not None:
        return FileType(found.mime) if found.mime in ENDINGS else None
    return FileType(TEXT) if _is_text(head) and not _is_code(head) else None


def label(media_type: str) -> str:
    """Name a type as people do, such as PDF; empty when there is no such name."""
    return ENDINGS[media_type][0][1:].upper() if media_type in ENDINGS else ""


def _is_text(chunk: bytes) -> bool:
    """Tell whether this could stand in a text, in whatever encoding that has no NULs."""
    return not chunk.translate(None, delete=_NOT_CONTROLS)


def _is_code(head: bytes) -> bool:
    """Tell a text that a browser or a shell would run."""
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return begins.startswith((b"<", b"#!", b"MZ"))
