"""The files of one form: those that were stored, those that are not taken, and what is said about them."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from services.portal.file_names import presentable
from services.portal.uploads import FIELD
from shared.contracts import Attachment
from shared.public_pages.language import Language
from shared.public_pages.pages import MAX_BODY_BYTES, Problem

Reason = Literal["empty", "type", "large", "together", "many"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many files a reply may have, and how many bytes one of them and all together."""

    files: int
    bytes: int
    total_bytes: int

    @property
    def form_bytes(self) -> int:
        """How much of a form is read: enough to say kindly that it is too much, to who chose a few files too many."""
        return MAX_BODY_BYTES + 4 * self.total_bytes


class FileRefused(Exception):
    """A file is not taken."""

    def __init__(self, name: str, reason: Reason) -> None:
        super().__init__(reason)
        self.name = presentable(name)
        self.reason: Reason = reason

    def explained(self, language: Language, limits: Limits) -> str:
        """Tell the person who sent it which file it is and why."""
        gettext, name = language.gettext, self.name
        if self.reason == "empty":
            return gettext("“%(name)s” is empty.", name=name)
        if self.reason == "large":
            return gettext("“%(name)s” is larger than %(size)s.", name=name, size=language.file_size(limits.bytes))
        if self.reason == "together":
            size = language.file_size(limits.total_bytes)
            return gettext("With “%(name)s” your files are larger than %(size)s together.", name=name, size=size)
        if self.reason == "many":
            return language.ngettext(
                "You can send %(number)s file with a reply.",
                "You can send %(number)s files with a reply.",
                limits.files,
            )
        return gettext(
            "“%(name)s” is not of a type that we take. Photos, PDF, text, office documents, audio and video are fine.",
            name=name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that was read, and stored as `object_id` unless nobody wanted that."""

    attachment: Attachment
    digest: bytes
    object_id: UUID | None


@dataclass(slots=True)
class Files:
    """The files of one form."""

    stored: list[Stored] = field(default_factory=list)
    refused: list[FileRefused] = field(default_factory=list)
    kept: bool = False

    @property
    def were_chosen(self) -> bool:
        """Whether there were any."""
        return bool(self.stored or self.refused)

    @property
    def are_stored(self) -> bool:
        """Whether they were stored, and not only read."""
        return all(each.object_id for each in self.stored)

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """What events and messages tell of them."""
        return tuple(stored.attachment for stored in self.stored)

    @property
    def content(self) -> str:
        """Stands for what is in them: the same files again make the same."""
        return "".join(f"\0{each.attachment.name}\0{each.digest.hex()}" for each in self.stored)


def problems_of(files: Files, limits: Limits, language: Language) -> list[Problem]:
    """Tell which files are not taken and why."""
    return [Problem(FIELD, refused.explained(language, limits)) for refused in files.refused]


def not_stored(language: Language) -> str:
    """Tell that it is not the files that are wrong."""
    return language.gettext(
        "Your files could not be stored. Please try again in a minute, or send your reply without them."
    )
