"""What the notifier is told and what it writes, beyond tests/builders.py."""

from dataclasses import fields
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from services.notifier.emails import Email, Facts
from services.notifier.letters import compose
from services.notifier.tables import Account
from shared.contracts import (
    LinkRenewed,
    ReasonGiven,
    ReplyPublished,
    Survey,
    SurveyInvited,
    SurveyReminded,
    SurveySubmitted,
)
from shared.contracts.notification import Kind
from tests.builders import ADA, NOON, a_ticket

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63"
    "606060f80f00010401005f0f0a0d0000000049454e44ae426082"
)
TICKET_LINK = "https://portal.example/t/" + "k" * 43
SURVEY_LINK = "https://surveys.example/s/" + "s" * 43
OPT_OUT_LINK = "https://surveys.example/u/" + "o" * 43
SENDER = "support@desk.example"


def a_reply_published(**changes: Any) -> ReplyPublished:
    """Ada's answer can be read on the portal."""
    return ReplyPublished(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=2),
            "reply_id": "a-1",
            "author_name": "Ada Okafor",
            "body": "A new pole is on its way.",
            "link": TICKET_LINK,
            "published_at": NOON,
            **changes,
        }
    )


def a_link_renewed(**changes: Any) -> LinkRenewed:
    """Rita, or somebody with an old link of hers, asked for a fresh one."""
    return LinkRenewed(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=2),
            "renewal_id": "l-1",
            "link": TICKET_LINK,
            "renewed_at": NOON,
            **changes,
        }
    )


def a_survey_invited(**changes: Any) -> SurveyInvited:
    """Rita is to be asked how it went, for 14 days."""
    return SurveyInvited(
        **{
            "account_id": "acme",
            "ticket": a_ticket(version=3, status="resolved"),
            "survey_id": "s-1",
            "link": SURVEY_LINK,
            "opt_out_link": OPT_OUT_LINK,
            "expires_at": NOON + timedelta(days=14),
            **changes,
        }
    )


def a_survey_reminded(**changes: Any) -> SurveyReminded:
    """Rita has not answered and is asked once more."""
    invited = a_survey_invited(**changes)
    return SurveyReminded(**{field.name: getattr(invited, field.name) for field in fields(invited)})


def a_survey_submitted(score: int = 2, **changes: Any) -> SurveySubmitted:
    """Rita was not happy with Ada's help."""
    survey = Survey(
        survey_id="s-1",
        ticket_id="T-1",
        resolved_version=3,
        subject="Tent pole broke",
        requester_name="Rita Gómez",
        priority="normal",
        channel="email",
        created_at=NOON,
        expires_at=NOON + timedelta(days=14),
        agent=ADA,
    )
    return SurveySubmitted(
        **{
            "account_id": "acme",
            "survey": survey,
            "score": score,
            "comment": "Still broken.",
            "submitted_at": NOON,
            "reason": ReasonGiven(code="unsolved", text="My problem is not solved"),
            **changes,
        }
    )


def a_brand(**changes: Any) -> Account:
    """Acme, as letters need it."""
    facts = {
        "account_id": "acme",
        "version": 1,
        "name": "Acme Outdoor",
        "colour": "#0b6e4f",
        "time_zone": "Europe/Berlin",
        "updated_at": NOON,
    }
    return Account(**{**facts, **changes})


def an_email(kind: Kind = "reply_published", *, to: str = "rita@customer.example", **facts: Any) -> Email:
    """A row of the queue."""
    said = {
        "ticket_id": "T-1",
        "subject": "Tent pole broke",
        "author": "Ada Okafor",
        "text": "A new pole is on its way.",
        "link": TICKET_LINK,
        "previous_status": "resolved",
        "expires_at": NOON + timedelta(days=14),
        "score": 2,
        "reason": "It took too long",
        "opt_out_link": OPT_OUT_LINK if kind in {"survey_invited", "survey_reminded"} else None,
    }
    return Email(
        id=UUID("01950000-0000-7000-8000-000000000001"),
        account_id="acme",
        kind=kind,
        subject_id="a-1",
        recipient=to,
        recipient_name="Rita Gómez",
        thread="acme/T-1",
        facts=Facts(**{**said, **facts}),
        state="queued",
        attempts=1,
    )


def a_letter(email: Email, account: Account | None = None) -> EmailMessage:
    """The letter as it leaves us."""
    return compose(email, account or a_brand(), sender=SENDER, now=NOON)


def text_of(letter: EmailMessage) -> str:
    """The part for those who read plain text."""
    part = letter.get_body(("plain",))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def html_of(letter: EmailMessage) -> str:
    """The part for everybody else."""
    part = letter.get_body(("html",))
    assert part is not None
    return part.get_content()


def a_bounce(email_id: UUID | str, **changes: Any) -> bytes:
    """A delivery status notification (RFC 3464) as a mail server writes it; `returned` is how it gives back the email.

    A field or part that is None is left out.
    """
    said = {
        "content_type": 'multipart/report; report-type=delivery-status; boundary="B"',
        "report_part": "message/delivery-status",
        "recipient": "rfc822; rita@customer.example",
        "action": "failed",
        "status": "5.1.1",
        "diagnostic": "smtp; 550 5.1.1 <rita@customer.example>: Recipient address\r\n    rejected: User unknown",
        "returned": "text/rfc822-headers",
        "message_id": f"<{email_id}@desk.example>",
        **changes,
    }
    fields = {
        "Final-Recipient": said["recipient"],
        "Action": said["action"],
        "Status": said["status"],
        "Diagnostic-Code": said["diagnostic"],
    }
    parts = [
        ["Content-Type: text/plain; charset=us-ascii", "", "I could not deliver your message.", ""],
        [
            f"Content-Type: {said['report_part']}",
            "",
            "Reporting-MTA: dns; mx.example",
            "Arrival-Date: Mon, 2 Mar 2026 12:00:00 +0000",
            "",
            *(f"{name}: {value}" for name, value in fields.items() if value is not None),
            "",
        ],
        [
            f"Content-Type: {said['returned']}",
            "",
            "Received: from desk.example by mx.example; Mon, 2 Mar 2026 12:00:00 +0000",
            "Subject: Tent pole broke",
            f"Message-ID: {said['message_id']}",
            "",
        ],
    ]
    lines = [
        "Return-Path: <>",
        "From: Mail Delivery System <MAILER-DAEMON@mx.example>",
        "To: support@desk.example",
        "Subject: Undelivered Mail Returned to Sender",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f"Content-Type: {said['content_type']}",
        "",
    ]
    for part in parts if said["returned"] is not None else parts[:2]:
        lines += ["--B", *part]
    return "\r\n".join([*lines, "--B--", ""]).encode()
