"""What is said in a conversation: by agents, by requesters, and where the requester can read it."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from shared.contracts.attachment import Attachment
from shared.contracts.ticket import Agent, TicketEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySent(TicketEvent):
    """An agent wrote in a ticket. Anything but `public` is an internal note, which closeloop drops unread.

    `body` is all of it as plain text; `body_html` the same as HTML, of which the portal shows what is harmless. Emails
    repeat the plain text.
    """

    topic: ClassVar[str] = "reply.sent"
    confidential: ClassVar[bool] = True

    reply_id: str
    author: Agent
    body: str
    sent_at: datetime
    visibility: str
    body_html: str = ""
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyReceived(TicketEvent):
    """The requester wrote, on the portal or elsewhere. The author is the ticket's requester.

    `reopened` is true when this reply set the ticket open again; `ticket.reopened` then tells assignee and watchers.
    """

    topic: ClassVar[str] = "reply.received"

    reply_id: str
    body: str
    received_at: datetime
    via: str = "portal"
    reopened: bool = False
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPublished(TicketEvent):
    """An agent's reply can be read on the portal. Carries the requester's link: for the notifier alone."""

    topic: ClassVar[str] = "reply.published"

    reply_id: str
    author_name: str
    body: str
    link: str
    published_at: datetime
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRenewed(TicketEvent):
    """Somebody asked for a fresh link to a ticket, with an old one. Carries it: for the notifier alone.

    It goes to the requester's address, whoever asked.
    """

    topic: ClassVar[str] = "link.renewed"
    confidential: ClassVar[bool] = True

    renewal_id: str
    link: str
    renewed_at: datetime
