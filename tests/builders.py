"""Events as the help desk and the services publish them: `a_ticket_resolved(ticket=a_ticket(version=3))`."""

from datetime import UTC, datetime
from typing import Any

from shared.contracts import (
    AccountUpdated,
    Agent,
    NotificationFailed,
    ReplyReceived,
    ReplySent,
    Requester,
    Ticket,
    TicketCreated,
    TicketReopened,
    TicketResolved,
    TicketSolved,
    TicketUpdated,
)

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday."""

ADA = Agent(agent_id="ada", name="Ada Okafor", email="ada@desk.example")
BEN = Agent(agent_id="ben", name="Ben Suzuki", email="ben@desk.example")
EVE = Agent(agent_id="eve", name="Eve Larsen", email="eve@desk.example")
RITA = Requester(requester_id="rita", name="Rita Gómez", email="rita@customer.example")


def an_account(**changes: Any) -> AccountUpdated:
    """Acme, as first told."""
    return AccountUpdated(
        **{"account_id": "acme", "version": 1, "name": "Acme Outdoor", "colour": "#0b6e4f", **changes}
    )


def a_ticket(**changes: Any) -> Ticket:
    """An open ticket of Rita's, assigned to Ada, watched by Ben."""
    facts = {
        "ticket_id": "T-1",
        "version": 1,
        "subject": "Tent pole broke",
        "status": "open",
        "requester": RITA,
        "created_at": NOON,
        "assignee": ADA,
        "watchers": (BEN,),
    }
    return Ticket(**{**facts, **changes})


def a_ticket_created(**changes: Any) -> TicketCreated:
    """The ticket's first event."""
    return TicketCreated(**{"account_id": "acme", "ticket": a_ticket(), "description": "It snapped.", **changes})


def a_ticket_updated(**changes: Any) -> TicketUpdated:
    """The ticket went to pending."""
    return TicketUpdated(**{"account_id": "acme", "ticket": a_ticket(version=2, status="pending"), **changes})


def a_ticket_resolved(**changes: Any) -> TicketResolved:
    """Ada resolved the ticket."""
    return TicketResolved(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=3, status="resolved"),
            "resolved_at": NOON,
            "resolved_by": ADA,
            **changes,
        }
    )


def a_ticket_reopened(**changes: Any) -> TicketReopened:
    """Rita's reply reopened the ticket that was resolved at version 3."""
    return TicketReopened(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=3, status="open"),
            "reply_id": "r-9",
            "body": "It broke again.",
            "previous_status": "resolved",
            "reopened_at": NOON,
            **changes,
        }
    )


def a_ticket_solved(**changes: Any) -> TicketSolved:
    """Rita said that the ticket is solved, which was open at version 2."""
    return TicketSolved(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=2, status="resolved"),
            "solved_id": "s-9",
            "previous_status": "open",
            "solved_at": NOON,
            **changes,
        }
    )


def a_reply_sent(**changes: Any) -> ReplySent:
    """Ada answered, publicly."""
    return ReplySent(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=2),
            "reply_id": "a-1",
            "author": ADA,
            "body": "A new pole is on its way.",
            "sent_at": NOON,
            "visibility": "public",
            **changes,
        }
    )


def a_reply_received(**changes: Any) -> ReplyReceived:
    """Rita answered by email."""
    return ReplyReceived(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=2),
            "reply_id": "e-1",
            "body": "Thank you!",
            "received_at": NOON,
            "via": "email",
            **changes,
        }
    )


def a_notification_failed(**changes: Any) -> NotificationFailed:
    """The server knows no such address as the survey was to be sent to."""
    return NotificationFailed(
        **{
            "account_id": "acme",
            "ticket_id": "T-1",
            "notification_id": "01950000-0000-7000-8000-000000000001",
            "kind": "survey_invited",
            "subject_id": "s-1",
            "reason": "bounced",
            "code": "550 5.1.1",
            "failed_at": NOON,
            **changes,
        }
    )
