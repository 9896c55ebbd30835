"""What surveys tells, and keys to ask with: `answered("s-1", 5)` is a survey created and answered at noon."""

from datetime import datetime
from typing import Any

import httpx

from services.reports.tables import ApiKey
from shared.contracts import Agent, Survey, SurveyCreated, SurveyExpired, SurveySkipped, SurveySubmitted
from shared.public_pages.api_keys import new_key
from tests.builders import ADA, NOON, a_ticket
from tests.stage import Stage


def a_survey(survey_id: str = "s-1", **changes: Any) -> Survey:
    """Rita is asked about Ada's work, or that of another `agent`, who was assigned."""
    facts = {
        "survey_id": survey_id,
        "ticket_id": f"T-{survey_id}",
        "resolved_version": 3,
        "subject": "Tent pole broke",
        "requester_name": "Rita Gómez",
        "priority": "normal",
        "channel": "email",
        "created_at": NOON,
        "expires_at": NOON,
        "agent": ADA,
    }
    facts |= changes
    return Survey(**{"assignee": facts["agent"], **facts})


def created(survey: Survey | None = None, *, account_id: str = "acme") -> SurveyCreated:
    """Rita was asked."""
    return SurveyCreated(account_id=account_id, survey=survey or a_survey())


def submitted(survey: Survey | None = None, score: int = 5, *, account_id: str = "acme", **changes: Any) -> Any:
    """Rita answered."""
    facts = {"score": score, "submitted_at": NOON, **changes}
    return SurveySubmitted(account_id=account_id, survey=survey or a_survey(), **facts)


def expired(
    survey: Survey | None = None, reason: Any = "unanswered", *, account_id: str = "acme", expired_at: datetime = NOON
) -> SurveyExpired:
    """Nobody answered, the ticket was reopened, or nobody was asked."""
    return SurveyExpired(account_id=account_id, survey=survey or a_survey(), reason=reason, expired_at=expired_at)


def skipped(reason: Any = "disabled", **changes: Any) -> SurveySkipped:
    """Nobody was asked."""
    facts = {"account_id": "acme", "ticket": a_ticket(version=3), "reason": reason, "skipped_at": NOON}
    return SurveySkipped(**{**facts, **changes})


def answered(
    survey_id: str,
    score: int,
    *,
    at: datetime = NOON,
    agent: Agent | None = ADA,
    comment: str = "",
    account_id: str = "acme",
    **facts: Any,
) -> SurveySubmitted:
    """A survey that was created and answered at one moment; the answer alone tells of both."""
    survey = a_survey(survey_id, agent=agent, created_at=at, **facts)
    return submitted(survey, score, account_id=account_id, comment=comment, submitted_at=at)


async def a_key(stage: Stage, account_id: str = "acme", **narrowed: Any) -> str:
    """Make a key that opens the account, or what of it `scopes` and `agent_id` leave."""
    row, key = new_key(ApiKey, "a test", stage.clock(), account_id=account_id, **narrowed)
    async with stage.service.sessions.begin() as session:
        session.add(row)
    return key


async def ask(stage: Stage, path: str, *, key: str | None = None, **parameters: Any) -> httpx.Response:
    """Ask the API with a key, Acme's unless told. `from_` is `from`."""
    return await stage.client.get(
        f"/api/v1/csat{path}",
        params={name.rstrip("_"): value for name, value in parameters.items()},
        headers={"Authorization": f"Bearer {key or await a_key(stage)}"},
    )


async def told(stage: Stage, path: str, **parameters: Any) -> Any:
    """What the API answers, which must be a success."""
    response = await ask(stage, path, **parameters)
    assert response.status_code == 200, response.text
    return response.json()
