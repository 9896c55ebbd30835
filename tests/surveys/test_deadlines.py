"""Surveys that nobody answers."""

from services.surveys.deadlines import expire_some
from services.surveys.survey import Survey
from services.surveys.tables import Table
from shared.chassis.migrations import drift
from shared.contracts import SurveyExpired
from tests.builders import a_ticket_resolved, an_account
from tests.stage import Stage


async def test_an_unanswered_survey_expires_when_its_time_is_over(surveys: Stage) -> None:
    """Not a moment before, once, and everybody is told."""
    await surveys.hears(an_account(), a_ticket_resolved())
    await surveys.said()

    counts = []
    for days in (13, 1, 1):
        surveys.later(days=days)
        async with surveys.service.sessions.begin() as session:
            counts.append(await expire_some(session, surveys.clock()))

    (expired,) = await surveys.said()
    assert counts == [0, 1, 0]
    assert isinstance(expired, SurveyExpired)
    assert (await surveys.row(Survey)).expired_reason == expired.reason == "unanswered"


async def test_tables_and_migrations_agree(surveys: Stage) -> None:
    """A migrated database has exactly what the code declares."""
    url = surveys.service.engine.url.render_as_string(hide_password=False)

    assert await drift(url, Table.metadata) == []
