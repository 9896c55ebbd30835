"""What was wrong, and a way to talk again: what a survey offers besides stars."""

from dataclasses import replace

from services.surveys.ratings import restore_rating
from services.surveys.survey import Survey
from services.surveys.tables import Quarantined
from shared.contracts import (
    ReasonGiven,
    SurveyFollowUpRequested,
    SurveyPolicy,
    SurveyReason,
    SurveySubmitted,
    SurveyWording,
)
from tests.builders import RITA, an_account
from tests.captcha import solved_widget
from tests.stage import Stage
from tests.surveys.test_pages import invited, rate

SLOW = ReasonGiven(code="slow", text="It took too long")
OWN = SurveyPolicy(
    reasons=(
        SurveyReason(code="parcel", text={"en": "The parcel <b>broke</b>", "de": "Das Paket ging kaputt"}),
        SurveyReason(code="price", text={"fr": "Trop cher"}),
    ),
    wording={
        "de": SurveyWording(heading="Alles gut?", question="Wie war <i>es</i>?", thanks="Danke Dir!"),
        "en": SurveyWording(question="Was it good?"),
    },
)


async def says(surveys: Stage, path: str, message: str = "It broke again.", **fields: str):
    """Send the message with its captcha solved."""
    solved = await solved_widget(surveys.client, f"{path}/challenge")
    return await surveys.client.post(f"{path}/follow-up", data={"message": message, **solved, **fields})


async def test_a_reason_travels_with_a_low_score(surveys: Stage) -> None:
    """As a code to count by and the words the requester read."""
    path = await invited(surveys)

    await rate(surveys, path, score="2", reason="slow")

    (submitted,) = await surveys.said()
    assert isinstance(submitted, SurveySubmitted)
    assert submitted.reason == (await surveys.row(Survey)).reason == SLOW
    assert "It took too long" in (await surveys.client.get(path)).text


async def test_a_reason_counts_neither_with_a_good_score_nor_when_nobody_offered_it(surveys: Stage) -> None:
    """A browser that hides nothing sends what was picked before; a made-up one is none."""
    for number, (score, reason) in enumerate([("3", "slow"), ("5", "slow"), ("1", "made up"), ("1", "")]):
        path = await invited(surveys, ticket_id=f"T-{number}")
        assert (await rate(surveys, path, score=score, reason=reason)).status_code == 303

    assert [survey.reason for survey in await surveys.rows(Survey)] == [None] * 4


async def test_a_reason_that_was_picked_survives_a_form_that_comes_back(surveys: Stage) -> None:
    """Nothing that was chosen is lost."""
    path = await invited(surveys)

    refused = await surveys.client.post(path, data={"score": "1", "comment": "", "reason": "unclear"})

    assert refused.status_code == 422
    assert 'value="unclear" checked' in refused.text


async def test_an_account_has_reasons_and_words_of_its_own(surveys: Stage) -> None:
    """In the reader's language, as plain text; where it has none in that language, ours or its first."""
    path = await invited(surveys, requester=replace(RITA, locale="de"))
    await surveys.hears(an_account(version=2, survey_policy=OWN))

    page = (await surveys.client.get(path)).text
    await rate(surveys, path, score="1", reason="parcel")
    thanks = (await surveys.client.get(f"{path}/thanks")).text

    for said in ("Alles gut?", "Wie war &lt;i&gt;es&lt;/i&gt;?", "Das Paket ging kaputt", "Trop cher"):
        assert said in page
    assert "Danke Dir!" in thanks
    assert (await surveys.row(Survey)).reason == ReasonGiven(code="parcel", text="Das Paket ging kaputt")

    english = await invited(surveys, ticket_id="T-2", requester=replace(RITA, locale="en"))
    page = (await surveys.client.get(english)).text
    for said in ("How did we do?", "Was it good?", "The parcel &lt;b&gt;broke&lt;/b&gt;"):
        assert said in page


async def test_an_account_may_offer_no_reasons(surveys: Stage) -> None:
    """None is not the same as ours."""
    path = await invited(surveys)
    await surveys.hears(an_account(version=2, survey_policy=SurveyPolicy(reasons=())))

    assert 'name="reason"' not in (await surveys.client.get(path)).text


async def test_who_wants_to_talk_again_is_heard_once(surveys: Stage) -> None:
    """By choice: a rating alone opens nothing. The message is told once, however often the form is sent."""
    path = await invited(surveys)
    await rate(surveys, path, score="2")
    await surveys.said()
    assert "Talk to us again" in (await surveys.client.get(f"{path}/thanks")).text

    answers = [await says(surveys, path), await says(surveys, path), await says(surveys, path, "Another one")]

    (requested,) = await surveys.said()
    assert isinstance(requested, SurveyFollowUpRequested)
    assert (requested.body, requested.requested_at) == ("It broke again.", surveys.clock())
    assert requested.survey.ticket_id == "T-1"
    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {
        (303, f"{path}/thanks?sent=yes#sent")
    }
    shown = (await surveys.client.get(f"{path}/thanks?sent=yes")).text
    assert "Your message was sent." in shown
    assert "<form" not in shown


async def test_a_message_without_a_captcha_or_a_word_comes_back_with_what_was_typed(surveys: Stage) -> None:
    """Nothing is told and nothing is lost."""
    path = await invited(surveys)
    await rate(surveys, path, score="1")
    await surveys.said()

    refused = await surveys.client.post(f"{path}/follow-up", data={"message": "my <words>"})
    empty = await says(surveys, path, " \n ")
    long = await says(surveys, path, "ü" * 2001)

    assert [answer.status_code for answer in (refused, empty, long)] == [422, 422, 422]
    assert "my &lt;words&gt;</textarea>" in refused.text
    assert "show that you are a person" in refused.text
    assert "Please write a message." in empty.text
    assert "Your message is 1 character too long." in long.text
    assert await surveys.said() == []


async def test_a_robots_message_is_put_aside_and_can_be_restored(surveys: Stage) -> None:
    """It sees the usual success; a person's is let in by an operator."""
    path = await invited(surveys)
    await rate(surveys, path, score="1")
    await surveys.said()

    answer = await says(surveys, path, website="x")

    assert answer.headers["location"] == f"{path}/thanks?sent=yes#sent"
    assert await surveys.said() == []
    held = await surveys.row(Quarantined)
    async with surveys.service.sessions.begin() as session:
        await restore_rating(held, session, surveys.clock())
    (requested,) = await surveys.said()
    assert requested.body == "It broke again."


async def test_a_robots_rating_is_restored_with_its_reason(surveys: Stage) -> None:
    """As it was read when it was sent."""
    path = await invited(surveys)
    await rate(surveys, path, score="1", reason="slow", website="x")

    held = await surveys.row(Quarantined)
    async with surveys.service.sessions.begin() as session:
        await restore_rating(held, session, surveys.clock())

    assert (await surveys.row(Survey)).reason == SLOW
