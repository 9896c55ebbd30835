"""The four services on stage, and a requester who will ask to be forgotten."""

from datetime import timedelta
from typing import Any

import pytest_asyncio

from shared.contracts import RequesterErased
from tests.builders import NOON, RITA, an_account
from tests.notifier.conftest import mailbox, notifier, notifier_stage, post
from tests.portal.conftest import everything_stored, portal, portal_stage
from tests.reports.conftest import at_the_terminal, broker, idle, live, log, operator, reports, reports_stage
from tests.stage import Stage
from tests.surveys.conftest import surveys, surveys_stage

__all__ = [
    "at_the_terminal",
    "broker",
    "idle",
    "live",
    "log",
    "mailbox",
    "notifier",
    "notifier_stage",
    "operator",
    "portal",
    "portal_stage",
    "post",
    "reports",
    "reports_stage",
    "surveys",
    "surveys_stage",
]

PERSON = (
    "Rita Gómez",
    "rita@customer.example",
    "Tent pole",
    "It snapped",
    "Thank you!",
    "A new pole",
    "It broke again",
)
"""What must not be found of Rita anywhere, as the builders write it."""


@pytest_asyncio.fixture
async def stages(portal: Stage, surveys: Stage, notifier: Stage, reports: Stage) -> dict[str, Stage]:
    """All four, by name."""
    return {"portal": portal, "surveys": surveys, "notifier": notifier, "reports": reports}


def erasure(**changes: Any) -> RequesterErased:
    """Rita asked to be forgotten."""
    facts = {
        "account_id": "acme",
        "requester_id": RITA.requester_id,
        "request_id": "erasure-1",
        "erased_at": NOON + timedelta(hours=1),
    }
    return RequesterErased(**{**facts, **changes})


async def left_of_rita(stage: Stage) -> list[str]:
    """What a service's database holds of her, in whatever table, waiting events and dead letters included."""
    stored = await everything_stored(stage)
    return [words for words in PERSON if words in stored]


async def knows_acme(stage: Stage) -> None:
    """The account, so that nothing waits for it."""
    await stage.hears(an_account())
