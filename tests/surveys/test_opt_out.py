"""Not to be asked any more: by a mail program's one click, or on the page, and back again."""

import pytest

from services.surveys.survey import Survey
from services.surveys.tables import OptOut
from tests.builders import a_ticket, a_ticket_resolved, an_account
from tests.stage import Stage

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def mailed(surveys: Stage, account_id: str = "acme", ticket_id: str = "T-1", **requester: object) -> str:
    """Ask about a ticket and tell the path of the way out in the email."""
    ticket = a_ticket(ticket_id=ticket_id, version=3, status="resolved")
    await surveys.hears(an_account(account_id=account_id), a_ticket_resolved(account_id=account_id, ticket=ticket))
    return (await surveys.said())[-1].opt_out_link.removeprefix("https://surveys.example")


async def test_one_click_of_a_mail_program_opts_out_at_once(surveys: Stage) -> None:
    """RFC 8058: one POST, no page before it, no captcha, no redirect."""
    path = await mailed(surveys)

    answer = await surveys.client.post(path, data=ONE_CLICK)

    assert answer.status_code == 200
    row = await surveys.row(OptOut)
    assert (row.account_id, row.requester_id, row.opted_out_at) == ("acme", "rita", surveys.clock())


async def test_one_click_may_come_as_a_multipart_form_and_more_than_once(surveys: Stage) -> None:
    """Mail programs differ, and repeat themselves; the first time counts."""
    path = await mailed(surveys)
    await surveys.client.post(path, files={"List-Unsubscribe": (None, "One-Click")})
    first = (await surveys.row(OptOut)).opted_out_at
    surveys.later(hours=1)

    answers = [await surveys.client.post(path, data=ONE_CLICK), await surveys.client.post(path)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert (await surveys.row(OptOut)).opted_out_at == first


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_opts_nobody_out(surveys: Stage, method: str) -> None:
    """Mail scanners open every link, also those in headers."""
    path = await mailed(surveys)

    for _ in range(10):
        answer = await surveys.client.request(method, path)

    assert answer.status_code == 200
    assert await surveys.count(OptOut) == 0


async def test_the_page_offers_what_there_is_to_choose(surveys: Stage) -> None:
    """Out, and back again on the same page."""
    path = await mailed(surveys)

    before = await surveys.client.get(path)
    out = await surveys.client.post(path)
    later = await surveys.client.get(path)
    back = await surveys.client.post(path, data={"ask": "again"})

    assert "Send me no more surveys" in before.text
    assert "Acme Outdoor" in before.text
    for page in (out, later):
        assert "You get no more surveys" in page.text
        assert "Ask me again" in page.text
    assert "Send me no more surveys" in back.text
    assert await surveys.count(OptOut) == 0


async def test_who_opted_out_can_still_answer_what_they_were_asked(surveys: Stage) -> None:
    """The link in the email they have keeps its word."""
    path = await mailed(surveys)
    await surveys.client.post(path)

    survey = await surveys.row(Survey)
    link = surveys.service.provided["links"].to_answer(survey.survey_id)
    page = await surveys.client.get(link.removeprefix("https://surveys.example"))

    assert page.text.count('name="score"') == 5


async def test_another_account_still_asks(surveys: Stage) -> None:
    """A choice is about one account; nobody learns of it elsewhere."""
    await mailed(surveys, account_id="other")
    await surveys.client.post(await mailed(surveys))

    await mailed(surveys, account_id="other", ticket_id="T-2")

    assert [row.account_id for row in await surveys.rows(OptOut)] == ["acme"]
    assert len(await surveys.rows(Survey, account_id="other")) == 2


async def test_neither_link_opens_the_others_page(surveys: Stage) -> None:
    """A token is bound to its purpose; both of the wrong kind are as unknown as any."""
    path = await mailed(surveys)
    survey = await surveys.row(Survey)
    answer = surveys.service.provided["links"].to_answer(survey.survey_id).removeprefix("https://surveys.example")

    pages = [
        await surveys.client.get(path.replace("/u/", "/s/")),
        await surveys.client.get(answer.replace("/s/", "/u/")),
        await surveys.client.post(answer.replace("/s/", "/u/"), data=ONE_CLICK),
        await surveys.client.get("/u/unknown"),
        await surveys.client.get("/s/unknown"),
    ]

    assert {page.status_code for page in pages} == {404}
    assert len({page.content for page in pages}) == 1
    assert await surveys.count(OptOut) == 0


async def test_the_database_holds_digests_only(surveys: Stage) -> None:
    """Who reads the database can opt nobody out."""
    path = await mailed(surveys)

    assert path.removeprefix("/u/") not in repr(vars(await surveys.row(Survey)))
