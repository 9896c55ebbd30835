"""What the help desk tells about tickets, and what the portal tells back."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.attachment import Attachment
from shared.contracts.event import Event, check_facts

Status = Literal["open", "pending", "resolved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """The person who asked for help.

    `locale` is the language they read, a BCP 47 tag such as `pt-BR`. Better none than a guess: then the browser decides
    what pages speak. A tag that nobody knows counts as none.

    `erased`: the person asked to be forgotten, and nothing but the id is left. Said by closeloop; see RequesterErased.
    """

    requester_id: str
    name: str
    email: str | None = None  # some channels know no address
    locale: str | None = None
    erased: bool = False

    def __post_init__(self) -> None:
        check_facts(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Somebody of the help desk: an assignee, a watcher, the author of a reply."""

    agent_id: str
    name: str
    email: str

    def __post_init__(self) -> None:
        check_facts(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A whole ticket as the help desk saw it at `version`, a number that grows with every change to it."""

    ticket_id: str
    version: int
    subject: str
    status: Status
    requester: Requester
    created_at: datetime
    priority: Priority = "normal"
    channel: str = "email"
    assignee: Agent | None = None
    last_replier: Agent | None = None
    watchers: tuple[Agent, ...] = ()

    def __post_init__(self) -> None:
        check_facts(self)
        if self.version < 1:
            raise ValueError("version must be 1 or more")

    @property
    def credited_agent(self) -> Agent | None:
        """Whom a rating of this ticket is about: the assignee, else who replied last, else nobody."""
        return self.assignee or self.last_replier


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketEvent(Event):
    """An event that carries the whole ticket, so that it can be understood without any other."""

    ticket: Ticket

    @property
    def key(self) -> str:
        """Events of one ticket on one topic stay in order."""
        return f"{self.account_id}/{self.ticket.ticket_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketCreated(TicketEvent):
    """Somebody asked for help. `description` is their first message, empty when there was none.

    `attachments` are the files that came with it.
    """

    topic: ClassVar[str] = "ticket.created"

    description: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketUpdated(TicketEvent):
    """Anything about the ticket changed."""

    topic: ClassVar[str] = "ticket.updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketResolved(TicketEvent):
    """The ticket went to resolved at `ticket.version`. A reopened ticket may be resolved again."""

    topic: ClassVar[str] = "ticket.resolved"

    resolved_at: datetime
    resolved_by: Agent | None = None  # nobody: a rule of the help desk did it


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketReopened(TicketEvent):
    """The requester's reply opened the ticket again. Said by the portal.

    `ticket` is the last snapshot the portal knew, with status open and the version it had: the help desk, which
    alone counts versions, answers with the next one.
    """

    topic: ClassVar[str] = "ticket.reopened"

    reply_id: str
    body: str
    previous_status: Status
    reopened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketSolved(TicketEvent):
    """The requester said that they need no more help. Said by the portal.

    `ticket` is the last snapshot the portal knew, with status resolved and the version it had: the help desk, which
    alone counts versions, answers with `ticket.resolved`. Of this and `ticket.reopened`, which may arrive in any order,
    the one that happened later holds.
    """

    topic: ClassVar[str] = "ticket.solved"

    solved_id: str
    previous_status: Status
    solved_at: datetime
