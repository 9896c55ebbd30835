"""A requester is erased: the help desk asks for it, and each service tells what it let go of."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.event import MAX_ID_LENGTH, Event, check_facts

Service = Literal["portal", "surveys", "notifier", "reports"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterEvent(Event):
    """An event about one requester. Holds ids only: it is kept for ever, as the proof that nothing else was.

    `request_id` names the request to erase; a second request about the same requester is another one.
    """

    requester_id: str
    request_id: str

    @property
    def key(self) -> str:
        """Events of one requester on one topic stay in order."""
        return f"{self.account_id}/{self.requester_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterErased(RequesterEvent):
    """What is known of a requester is to go, everywhere and for good. Said by the help desk.

    Name, address, subjects, messages and comments go, links open nothing any more. Scores, dates and agents stay, so
    figures do not move. The id is remembered: whatever is heard of it later, is heard without the person. Somebody who
    writes again after that is a new requester, with a new id.

    `ticket_ids`: tickets that were theirs. By them is found what was stored, or published, before events of surveys
    carried `requester_id`.
    """

    topic: ClassVar[str] = "requester.erased"

    erased_at: datetime
    ticket_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_facts(self)
        if not all(0 < len(ticket_id) <= MAX_ID_LENGTH for ticket_id in self.ticket_ids):
            raise ValueError(f"ticket_ids must have 1 to {MAX_ID_LENGTH} characters each")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequesterForgotten(RequesterEvent):
    """A service has let go of a requester. `rows`: how many rows of which table were emptied or deleted.

    Said once for each request; all zero when the service had nothing of them.
    """

    topic: ClassVar[str] = "requester.forgotten"

    service: Service
    rows: dict[str, int]
    forgotten_at: datetime
