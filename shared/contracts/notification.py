"""What the notifier tells of its emails: which of them will not arrive, and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.contracts.event import Event

Kind = Literal[
    "reply_published",
    "link_renewed",
    "survey_invited",
    "survey_reminded",
    "reply_received",
    "ticket_reopened",
    "ticket_solved",
    "survey_submitted",
]
"""The event an email is about: the first four go to the requester, the others to agents."""

Reason = Literal["bounced", "suppressed", "unwritable", "gave_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFailed(Event):
    """An email to one person will not arrive. Said once for each email; holds no address, no name and no link.

    `bounced`: a mail server refused it for good, at once or by a bounce later. `suppressed`: not tried, because the
    address was refused as bad before. `unwritable`: what should be an address is none. `gave_up`: it could not be
    delivered in time.

    `subject_id` is the reply, the survey or what else the email was about. `code` is what the server said, in codes
    only, such as `550 5.1.1`; empty where no server said anything.
    """

    topic: ClassVar[str] = "notification.failed"

    ticket_id: str
    notification_id: str
    kind: Kind
    subject_id: str
    reason: Reason
    code: str = ""
    failed_at: datetime

    @property
    def key(self) -> str:
        """Events of one ticket on one topic stay in order."""
        return f"{self.account_id}/{self.ticket_id}"
