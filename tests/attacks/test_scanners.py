"""Mail scanners and double clicks: looking changes nothing, and sending often has one effect (S5, S6)."""

import asyncio
import re

from sqlalchemy import text

from services.portal.ticket import Message
from services.surveys.survey import Survey
from shared.contracts import ReplyReceived, SurveySubmitted, TicketReopened
from tests.attacks.conftest import invited
from tests.captcha import solved_widget
from tests.portal.conftest import mailed
from tests.stage import Stage

TIMES = 100


async def rows(stage: Stage) -> dict[str, list[str]]:
    """Every row of every table but those that count how often somebody came."""
    async with stage.service.sessions() as session:
        tables = await session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'rate_limit_buckets'")
        )
        return {
            table: [str(row) for row in await session.execute(text(f'SELECT *, xmin FROM "{table}" ORDER BY 1::text'))]
            for table in tables.all()
        }


async def addresses_in(stage: Stage, page: str) -> set[str]:
    """Every address of ours that a page names, whatever for, and their spelling with a star chosen."""
    html = (await stage.client.get(page)).text
    named = set(re.findall(r'(?:href|src|action|data-[\w-]+)="(/[^"#]*)', html))
    return {page, f"{page}?score=1", f"{page}?sent=yes", f"{page}/thanks", *named}


async def scanned(stage: Stage, page: str) -> set[int]:
    """Open all of them, as a scanner does, again and again."""
    answered = set()
    for address in await addresses_in(stage, page):
        # Files, pictures and recordings know no rows; a recording costs a fifth of a second.
        for _ in range(TIMES if address.startswith(page) else 3):
            for method in ("GET", "HEAD"):
                answered.add((await stage.client.request(method, address)).status_code)
    return answered


async def test_a_scanner_that_opens_a_tickets_link_a_hundred_times_changes_nothing(portal: Stage) -> None:
    """Link scanners: GET and HEAD of the mailed link and of every address found behind it leave every row as it was."""
    page = await mailed(portal, status="resolved")
    before = await rows(portal)

    answered = await scanned(portal, page)

    assert await rows(portal) == before
    assert answered <= {200, 404, 405, 429, 503}  # 503: nobody listens for news on stage
    assert (await portal.client.get(page)).status_code == 200


async def test_a_scanner_that_opens_a_surveys_link_a_hundred_times_changes_nothing(surveys: Stage) -> None:
    """Link scanners: a star in the email chooses, and a rating needs a POST."""
    page = await invited(surveys)
    before = await rows(surveys)

    answered = await scanned(surveys, page)

    assert await rows(surveys) == before
    assert answered <= {200, 404, 405, 429}
    assert (await surveys.row(Survey)).state == "pending"


async def test_fifty_parallel_posts_make_one_reply(portal: Stage) -> None:
    """Double submission: one reply is stored and told, and everybody sees the success."""
    path = await mailed(portal, status="resolved")
    solved = await solved_widget(portal.client, f"{path}/challenge")

    answers = await asyncio.gather(*(portal.client.post(path, data={"body": "once", **solved}) for _ in range(50)))

    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {(303, f"{path}?sent=yes#sent")}
    assert [type(event) for event in await portal.said()] == [ReplyReceived, TicketReopened]
    assert await portal.count(Message) == 3


async def test_fifty_parallel_posts_make_one_rating(surveys: Stage) -> None:
    """Double submission: however often a button is pressed, one answer counts."""
    path = await invited(surveys)
    solved = await solved_widget(surveys.client, f"{path}/challenge")
    form = {"score": "5", "comment": "once", **solved}

    answers = await asyncio.gather(*(surveys.client.post(path, data=form) for _ in range(50)))

    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {(303, f"{path}/thanks")}
    assert [type(event) for event in await surveys.said()] == [SurveySubmitted]


async def test_fifty_different_ratings_at_once_make_one(surveys: Stage) -> None:
    """Race for the first rating: fifty people with one link, a captcha solved by each; one answer stays."""
    path = await invited(surveys)
    solved = [await solved_widget(surveys.client, f"{path}/challenge") for _ in range(50)]
    forms = [{"score": str(n % 5 + 1), "comment": str(n), **fields} for n, fields in enumerate(solved)]

    answers = await asyncio.gather(*(surveys.client.post(path, data=form) for form in forms))

    assert {answer.status_code for answer in answers} == {303}
    assert [type(event) for event in await surveys.said()] == [SurveySubmitted]
