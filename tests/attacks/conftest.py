"""The services on stage for whoever attacks them. Each test's docstring names the class of its attack."""

import pytest_asyncio

from shared.contracts import SurveyInvited
from tests.builders import a_ticket, a_ticket_resolved, an_account
from tests.notifier.conftest import mailbox, notifier, notifier_stage, post
from tests.portal.conftest import mailed, portal, portal_stage
from tests.portal.files import an_attachment, put
from tests.reports.conftest import reports, reports_stage
from tests.stage import Stage
from tests.surveys.conftest import surveys, surveys_stage

__all__ = [
    "mailbox",
    "notifier",
    "notifier_stage",
    "portal",
    "portal_stage",
    "post",
    "reports",
    "reports_stage",
    "surveys",
    "surveys_stage",
]


@pytest_asyncio.fixture
async def stages(portal: Stage, surveys: Stage) -> dict[str, Stage]:
    """The two services that strangers reach by a mailed link, by name."""
    return {"portal": portal, "surveys": surveys}


@pytest_asyncio.fixture
async def every_stage(stages: dict[str, Stage], notifier: Stage, reports: Stage) -> dict[str, Stage]:
    """All four services, by name."""
    return {**stages, "notifier": notifier, "reports": reports}


@pytest_asyncio.fixture
async def pages(stages: dict[str, Stage]) -> dict[str, str]:
    """The path of a mailed link of each of them. The ticket's conversation has a file, `manual-1`."""
    portal = stages["portal"]
    path = await mailed(portal, attachments=(an_attachment(),))
    await put(portal)
    return {"portal": path, "surveys": await invited(stages["surveys"])}


async def invited(surveys: Stage, **ticket: object) -> str:
    """Resolve a ticket of Rita's and tell the path of the survey's page."""
    resolved = a_ticket(**{"version": 3, "status": "resolved", **ticket})
    await surveys.hears(an_account(), a_ticket_resolved(ticket=resolved))
    said = (await surveys.said())[-1]
    assert isinstance(said, SurveyInvited)
    return said.link.removeprefix("https://surveys.example")
