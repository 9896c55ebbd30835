"""What is left of an event about somebody who was erased, field by field."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.contracts import EVENTS, Event, SurveySubmitted
from shared.contracts.survey import SurveyEvent
from shared.contracts.ticket import TicketEvent
from shared.public_pages.erasure import without_requester

GOLDEN = Path(__file__).parents[1] / "contracts/golden"
PERSONAL = [event for event in EVENTS if issubclass(event, TicketEvent | SurveyEvent)]

KEPT = {
    "account_id",
    "reply_id",
    "solved_id",
    "visibility",
    "via",
    "previous_status",
    "reason",
    "reason.code",
    "reason.text",  # the account's words, among which the requester chose
    "follow_up_id",
    "*_at",
    # Agents: who worked, and whom a score is about.
    "author.agent_id",
    "author.name",
    "author.email",
    "resolved_by.agent_id",
    "resolved_by.name",
    "resolved_by.email",
    *(f"ticket.{name}" for name in ("ticket_id", "status", "priority", "channel", "*_at", "requester.requester_id")),
    *(
        f"ticket.{who}.{name}"
        for who in ("assignee", "last_replier", "watchers")
        for name in ("agent_id", "name", "email")
    ),
    *(f"survey.{name}" for name in ("survey_id", "ticket_id", "priority", "channel", "*_at", "requester_id")),
    *(
        f"survey.{who}.{name}"
        for who in ("agent", "assignee", "last_replier")
        for name in ("agent_id", "name", "email")
    ),
}
"""Every text that stays. A new field of an event is a person's until somebody says here that it is not."""


def texts(value: Any, path: str = "") -> dict[str, str]:
    """Every text of an event's JSON that is not empty, by where it stands."""
    if isinstance(value, dict):
        return {
            name: text
            for key, item in value.items()
            for name, text in texts(item, f"{path}.{'*_at' if key.endswith('_at') else key}".lstrip(".")).items()
        }
    if isinstance(value, list):
        return {name: text for item in value for name, text in texts(item, path).items()}
    return {path: value} if isinstance(value, str) and value else {}


@pytest.mark.parametrize("event", PERSONAL, ids=lambda event: event.topic)
def test_nothing_a_person_wrote_or_is_called_by_is_left(event: type[Event]) -> None:
    """Names, addresses, subjects and words are empty, and what only they could use is not heard at all."""
    published = msgspec.json.decode((GOLDEN / f"{event.topic}.json").read_bytes(), type=event)

    left = without_requester(published)

    if "link" in event.__dataclass_fields__:
        assert left is None
    else:
        assert texts(msgspec.to_builtins(left)).keys() <= KEPT
        assert isinstance(left, event)
        assert left.key == published.key


def test_what_figures_are_made_of_is_left() -> None:
    """Scores, times and agents do not change."""
    published = msgspec.json.decode((GOLDEN / "survey.submitted.json").read_bytes(), type=SurveySubmitted)

    left: Any = without_requester(published)

    assert (left.score, left.submitted_at) == (published.score, published.submitted_at)
    assert (left.survey.agent, left.survey.created_at) == (published.survey.agent, published.survey.created_at)
