"""What services say to each other. One frozen dataclass per event, one topic per event; standard library only.

The rules a publisher in any language can rely on are in ARCHITECTURE.md, "Topics".
"""

from shared.contracts.account import AccountUpdated, Logo, SurveyPolicy, SurveyReason, SurveyWording
from shared.contracts.attachment import Attachment
from shared.contracts.event import Event
from shared.contracts.notification import NotificationFailed
from shared.contracts.reply import LinkRenewed, ReplyPublished, ReplyReceived, ReplySent
from shared.contracts.requester import RequesterErased, RequesterForgotten
from shared.contracts.survey import (
    ReasonGiven,
    Survey,
    SurveyCreated,
    SurveyExpired,
    SurveyFollowUpRequested,
    SurveyInvited,
    SurveyReminded,
    SurveySkipped,
    SurveySubmitted,
)
from shared.contracts.ticket import (
    Agent,
    Requester,
    Ticket,
    TicketCreated,
    TicketReopened,
    TicketResolved,
    TicketSolved,
    TicketUpdated,
)

EVENTS: tuple[type[Event], ...] = (
    AccountUpdated,
    TicketCreated,
    TicketUpdated,
    TicketResolved,
    TicketReopened,
    TicketSolved,
    ReplySent,
    ReplyReceived,
    ReplyPublished,
    LinkRenewed,
    SurveyCreated,
    SurveyInvited,
    SurveyReminded,
    SurveySubmitted,
    SurveyFollowUpRequested,
    SurveyExpired,
    SurveySkipped,
    NotificationFailed,
    RequesterErased,
    RequesterForgotten,
)
"""Every event there is, one per topic."""

__all__ = [
    "EVENTS",
    "AccountUpdated",
    "Agent",
    "Attachment",
    "Event",
    "LinkRenewed",
    "Logo",
    "NotificationFailed",
    "ReasonGiven",
    "ReplyPublished",
    "ReplyReceived",
    "ReplySent",
    "Requester",
    "RequesterErased",
    "RequesterForgotten",
    "Survey",
    "SurveyCreated",
    "SurveyExpired",
    "SurveyFollowUpRequested",
    "SurveyInvited",
    "SurveyPolicy",
    "SurveyReason",
    "SurveyReminded",
    "SurveySkipped",
    "SurveySubmitted",
    "SurveyWording",
    "Ticket",
    "TicketCreated",
    "TicketReopened",
    "TicketResolved",
    "TicketSolved",
    "TicketUpdated",
]
