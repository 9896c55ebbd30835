"""Robots that fill every field or answer at once: quarantined with the reason, restored by an operator, once (S21)."""

import asyncio
import re
from datetime import timedelta

import httpx
import pytest
from click import ClickException, Group
from click.testing import CliRunner, Result

from services.portal.__main__ import main as portal_main
from services.portal.replies import restore_reply
from services.portal.tables import Quarantined, SpentChallenge
from services.portal.ticket import Message, Ticket
from services.surveys.__main__ import main as surveys_main
from services.surveys.survey import Survey
from services.surveys.tables import Quarantined as QuarantinedRating
from shared.contracts import ReplyReceived, SurveySubmitted, TicketReopened, TicketSolved
from shared.public_pages.quarantine import KEPT_FOR, MOST
from shared.public_pages.quarantine_commands import let_in
from tests.attacks.conftest import invited
from tests.builders import NOON, a_ticket, a_ticket_reopened, a_ticket_updated
from tests.captcha import read_code, solved_widget
from tests.portal.conftest import KEY, mailed, reply
from tests.stage import Stage


async def typed(stage: Stage, main: Group, *words: str) -> Result:
    """Type a command, in the environment of the service on stage. Its clock is the wall's."""
    environment = {
        "DATABASE_URL": stage.service.settings.database_url.replace("+asyncpg", ""),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PUBLIC_URL": "https://x.example",
        "SECRET_KEY": KEY,
        "COLUMNS": "200",
    }
    return await asyncio.to_thread(CliRunner().invoke, main, ["quarantine", *words], env=environment)


async def shown(stage: Stage, path: str) -> dict[str, str]:
    """The hidden field of the page that tells when it was shown."""
    return {"shown": shown_in(await stage.client.get(path))}


def shown_in(page: httpx.Response) -> str:
    """The same, of a page at hand."""
    found = re.search(r'name="shown" value="([^"]+)"', page.text)
    assert found
    return found[1]


async def test_who_fills_the_hidden_field_sees_the_usual_success(portal: Stage) -> None:
    """Robots: nothing tells them that they were recognised; nothing of theirs is shown or told, and it is kept."""
    path = await mailed(portal, status="resolved")

    caught = await reply(portal, path, "Buy now", website="http://spam.example")
    page = await portal.client.get(caught.headers["location"])

    assert (caught.status_code, caught.headers["location"]) == (303, f"{path}?sent=yes#sent")
    assert "Your reply was sent." in page.text
    assert (await portal.row(Ticket)).status == "resolved"
    assert await portal.count(SpentChallenge) == 0
    assert await portal.count(Message) == 1
    assert await portal.said() == []
    held = await portal.row(Quarantined)
    assert (held.reason, held.about, held.form, held.received_at) == ("honeypot", "T-1", {"body": "Buy now"}, NOON)


async def test_who_fills_the_hidden_field_of_a_survey_is_thanked(surveys: Stage) -> None:
    """Robots: the survey stays open for the person."""
    path = await invited(surveys)

    caught = await surveys.client.post(path, data={"score": "1", "comment": "Buy now", "website": "x"})

    assert (caught.status_code, caught.headers["location"]) == (303, f"{path}/thanks")
    assert (await surveys.client.get(f"{path}/thanks")).status_code == 200
    assert (await surveys.row(Survey)).state == "pending"
    assert await surveys.said() == []
    assert (await surveys.row(QuarantinedRating)).form == {"score": "1", "comment": "Buy now"}


async def test_a_reply_within_a_second_is_put_aside(portal: Stage) -> None:
    """Robots that leave the hidden field alone: the form says when it was shown, and nobody reads so fast."""
    path = await mailed(portal)
    when = await shown(portal, path)
    portal.later(seconds=0.9)

    first = await reply(portal, path, "Buy now", **when)

    assert (first.status_code, first.headers["location"]) == (303, f"{path}?sent=yes#sent")
    assert await portal.said() == []
    assert (await portal.row(Quarantined)).reason == "too_fast"


async def test_a_rating_within_a_second_is_put_aside_and_its_repeat_changes_nothing(surveys: Stage) -> None:
    """Robots, and their double clicks."""
    path = await invited(surveys)
    form = {"score": "1", "comment": "", **await shown(surveys, path)}
    form |= await solved_widget(surveys.client, f"{path}/challenge")

    answers = [await surveys.client.post(path, data=form) for _ in range(2)]

    assert {answer.headers["location"] for answer in answers} == {f"{path}/thanks"}
    assert (await surveys.row(Survey)).state == "pending"
    assert (await surveys.row(QuarantinedRating)).reason == "too_fast"


@pytest.mark.parametrize("value", ["", "0", "~", "1~", "x~y", "\0", "9" * 5000, "nan~0", "1772452800.000~" + "0" * 32])
async def test_without_the_time_or_with_a_made_up_one_only_the_hidden_field_counts(portal: Stage, value: str) -> None:
    """An old page, or a robot that leaves it out: neither is refused for it."""
    path = await mailed(portal)

    assert (await reply(portal, path, shown=value)).status_code == 303

    assert [type(event) for event in await portal.said()] == [ReplyReceived]


async def test_the_time_of_another_form_does_not_count(portal: Stage) -> None:
    """It is bound to its ticket, as the captcha is: whatever it says, it says nothing here."""
    first = await mailed(portal)
    second = await mailed(portal, ticket_id="T-2")

    await reply(portal, first, **await shown(portal, second))

    assert [type(event) for event in await portal.said()] == [ReplyReceived]


async def test_a_person_who_mends_a_mistake_at_once_is_not_too_fast(portal: Stage) -> None:
    """False alarms: a form that is shown again counts from the first time it was shown."""
    path = await mailed(portal)
    when = await shown(portal, path)
    portal.later(seconds=30)
    refused = await portal.client.post(path, data={"body": "", **when})
    again = {"shown": shown_in(refused), **read_code(refused.text, KEY)}

    taken = await portal.client.post(path, data={"body": "Hello", **again})

    assert taken.status_code == 303
    assert [type(event) for event in await portal.said()] == [ReplyReceived]


async def test_without_a_solved_captcha_a_fast_form_is_not_kept(portal: Stage) -> None:
    """Filling the quarantine: it costs the work of the captcha, and a person is told what is missing."""
    path = await mailed(portal)

    refused = await portal.client.post(path, data={"body": "Buy now", **await shown(portal, path)})

    assert refused.status_code == 422
    assert await portal.count(Quarantined) == 0


async def test_the_quarantine_of_one_ticket_does_not_grow_for_ever(portal: Stage) -> None:
    """Filling the quarantine: what comes beyond some is gone, and looks the same to who sent it."""
    path = await mailed(portal)

    answers = [
        await portal.client.post(path, data={"body": f"Buy {number}", "website": "x"}) for number in range(MOST + 5)
    ]

    assert {answer.status_code for answer in answers} == {303}
    assert await portal.count(Quarantined) == MOST


@pytest.mark.parametrize("body", ["", " ", "x" * 20_001])
async def test_what_could_not_be_a_reply_is_not_kept(portal: Stage, body: str) -> None:
    """Filling the quarantine: nobody could restore it."""
    path = await mailed(portal)

    caught = await portal.client.post(path, data={"body": body, "website": "x"})

    assert caught.status_code == 303
    assert await portal.count(Quarantined) == 0


async def test_an_operator_restores_a_reply_with_all_its_effects_once(portal: Stage) -> None:
    """False alarms: listed with its reason, shown whole, restored into the thread, told to everybody, not twice."""
    path = await mailed(portal, status="resolved")
    await reply(portal, path, "A person's words\nin two lines", website="filled by a password manager")
    held = str((await portal.row(Quarantined)).quarantine_id)

    listed = await typed(portal, portal_main, "list")
    seen = await typed(portal, portal_main, "show", held)
    restored = await typed(portal, portal_main, "restore", held)
    again = await typed(portal, portal_main, "restore", held)

    assert held in listed.output
    assert "honeypot" in listed.output
    assert "A person's words\nin two lines" in seen.output
    assert restored.output == "restored\n"
    assert [type(event) for event in await portal.said()] == [ReplyReceived, TicketReopened]
    assert "A person&#39;s words<br>in two lines" in (await portal.client.get(path)).text
    assert (await portal.row(Ticket)).status == "open"
    assert again.exit_code == 1
    assert "It was restored before" in again.output
    assert "Nothing is quarantined." in (await typed(portal, portal_main, "list")).output


async def test_a_robot_solves_no_ticket_and_an_operator_can_let_it(portal: Stage) -> None:
    """Robots that press every button: the usual success, nothing is told, and a person's word is restored, once."""
    path = await mailed(portal)

    caught = await portal.client.post(f"{path}/solved", data={"website": "filled by a password manager"})
    status = (await portal.row(Ticket)).status
    said = await portal.said()
    held = str((await portal.row(Quarantined)).quarantine_id)
    restored, again = [await typed(portal, portal_main, "restore", held) for _ in range(2)]

    assert (caught.status_code, caught.headers["location"]) == (303, f"{path}?solved=yes#solved")
    assert (status, said) == ("open", [])
    assert restored.output == "restored\n"
    assert (await portal.row(Ticket)).status == "resolved"
    assert [type(event) for event in await portal.said()] == [TicketSolved]
    assert again.exit_code == 1


async def test_what_was_solved_since_is_not_solved_again(portal: Stage) -> None:
    """The operator is told why."""
    path = await mailed(portal)
    await portal.client.post(f"{path}/solved", data={"website": "x"})
    held = str((await portal.row(Quarantined)).quarantine_id)
    await portal.client.post(f"{path}/solved", data={"website": ""})
    await portal.said()

    refused = await typed(portal, portal_main, "restore", held)

    assert refused.exit_code == 1
    assert "resolved" in refused.output
    assert await portal.said() == []


async def test_two_operators_restore_a_reply_once(portal: Stage) -> None:
    """Races: the row is locked while its effects are written."""
    path = await mailed(portal)
    await reply(portal, path, website="x")
    held = (await portal.row(Quarantined)).quarantine_id

    outcomes = await asyncio.gather(
        *(let_in(portal.service, table=Quarantined, id_=held, restore_one=restore_reply) for _ in range(2)),
        return_exceptions=True,
    )

    assert sorted(type(outcome) for outcome in outcomes if outcome) == [ClickException]
    assert [type(event) for event in await portal.said()] == [ReplyReceived]


async def test_a_reply_to_a_ticket_that_was_closed_since_is_not_restored(portal: Stage) -> None:
    """The operator is told why, and can try again when it is open."""
    path = await mailed(portal)
    await reply(portal, path, website="x")
    await portal.hears(a_ticket_updated(ticket=a_ticket(version=9, status="closed")))
    held = await portal.row(Quarantined)

    refused = await typed(portal, portal_main, "restore", str(held.quarantine_id))

    assert refused.exit_code == 1
    assert "closed" in refused.output
    assert (await portal.row(Quarantined)).restored_at is None


async def test_an_operator_restores_a_rating_for_the_day_it_was_given(surveys: Stage) -> None:
    """False alarms: the survey is answered, reports are told, and a late restoration does not move the rating."""
    path = await invited(surveys)
    await surveys.client.post(path, data={"score": "2", "comment": "Slow", "website": "x"})
    held = str((await surveys.row(QuarantinedRating)).quarantine_id)
    surveys.later(days=20)

    restored = await typed(surveys, surveys_main, "restore", held)
    again = await typed(surveys, surveys_main, "restore", held)

    assert restored.output == "restored\n"
    (submitted,) = await surveys.said()
    assert isinstance(submitted, SurveySubmitted)
    assert (submitted.score, submitted.comment, submitted.submitted_at) == (2, "Slow", NOON)
    assert "Slow" in (await surveys.client.get(path)).text
    assert again.exit_code == 1


@pytest.mark.parametrize("since", ["answered", "reopened"])
async def test_a_rating_that_came_to_nothing_since_is_not_restored(surveys: Stage, since: str) -> None:
    """The first answer stays, and what a reopening withdrew is withdrawn."""
    path = await invited(surveys)
    await surveys.client.post(path, data={"score": "1", "comment": "", "website": "x"})
    held = str((await surveys.row(QuarantinedRating)).quarantine_id)
    if since == "answered":
        solved = await solved_widget(surveys.client, f"{path}/challenge")
        await surveys.client.post(path, data={"score": "5", "comment": "", **solved})
    else:
        await surveys.hears(a_ticket_reopened())
    await surveys.said()

    refused = await typed(surveys, surveys_main, "restore", held)

    assert refused.exit_code == 1
    assert since in refused.output
    assert await surveys.said() == []


async def test_the_quarantine_is_emptied_after_thirty_days_and_by_an_operator(portal: Stage) -> None:
    """What people wrote is not kept for ever because somebody took them for a robot."""
    path = await mailed(portal)
    for _ in range(2):
        await reply(portal, path, website="x")
        portal.later(days=20)
    portal.later(seconds=(KEPT_FOR - timedelta(days=30)).total_seconds())
    async with portal.service.sessions.begin() as session:
        await portal.service.provided["quarantine"].forget_old(session, portal.clock())
    assert await portal.count(Quarantined) == 1

    refused = await typed(portal, portal_main, "purge", "--yes")
    purged = await typed(portal, portal_main, "purge", "--yes", "--all")

    assert refused.exit_code == 2
    assert purged.output == "1 purged\n"
    assert any("forget_old" in str(forget) for forget in portal.service.forgets)


async def test_what_is_listed_does_not_steer_the_terminal(portal: Stage) -> None:
    """Terminal escapes and markup: what a robot wrote is shown as text."""
    path = await mailed(portal)
    await portal.client.post(path, data={"body": "[red]x[/red]\x1b]0;owned\x07\x1b[2J\u202e", "website": "x"})
    held = str((await portal.row(Quarantined)).quarantine_id)

    listed, seen = await typed(portal, portal_main, "list"), await typed(portal, portal_main, "show", held)

    for output in (listed.output, seen.output):
        assert "\x1b]" not in output
        assert "\x1b[2J" not in output
        assert "\u202e" not in output
        assert "[red]x[/red]" in output
