"""The survey page, as requesters and others meet it."""

import pytest

from services.surveys.survey import Survey
from services.surveys.tables import SpentChallenge
from shared.contracts import SurveySubmitted
from tests.builders import a_notification_failed, a_ticket, a_ticket_reopened, a_ticket_resolved, an_account
from tests.captcha import read_code, solved_widget
from tests.stage import Stage

KEY = "k" * 32


async def invited(surveys: Stage, **ticket: object) -> str:
    """Resolve a ticket and tell the path of the survey's page."""
    resolved = a_ticket(**{"version": 3, "status": "resolved", **ticket})
    await surveys.hears(an_account(), a_ticket_resolved(ticket=resolved))
    return (await surveys.said())[-1].link.removeprefix("https://surveys.example")


async def rate(surveys: Stage, path: str, **fields: str):
    """Send the form with its captcha solved."""
    solved = await solved_widget(surveys.client, f"{path}/challenge")
    return await surveys.client.post(path, data={"comment": "", **solved, **fields})


async def test_a_pending_survey_asks_for_stars_and_a_comment(surveys: Stage) -> None:
    """The page shows what it is about and five choices, none of them made."""
    page = await surveys.client.get(await invited(surveys))

    assert page.status_code == 200
    assert "Tent pole broke" in page.text
    assert page.text.count('name="score"') == 5
    assert " checked" not in page.text


async def test_a_rating_is_saved_and_told(surveys: Stage) -> None:
    """Stars and comment arrive as they were given."""
    path = await invited(surveys)

    answer = await rate(surveys, path, score="4", comment="Quick!\r\nThanks")

    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}/thanks")
    survey = await surveys.row(Survey)
    assert (survey.state, survey.score, survey.comment) == ("submitted", 4, "Quick!\nThanks")
    (submitted,) = await surveys.said()
    assert isinstance(submitted, SurveySubmitted)
    assert submitted.survey.agent.name == "Ada Okafor"


async def test_a_revisit_shows_the_previous_rating_and_comment(surveys: Stage) -> None:
    """Who answered sees what they said, and no form."""
    path = await invited(surveys)
    await rate(surveys, path, score="2", comment="Slow <b>reply</b>")

    page = await surveys.client.get(path)

    assert "2 of 5: <bdi>Bad</bdi>" in page.text
    assert "Slow &lt;b&gt;reply&lt;/b&gt;" in page.text
    assert "<form" not in page.text


async def test_an_emailed_star_only_chooses(surveys: Stage) -> None:
    """Mail scanners open links; a rating needs a POST."""
    path = await invited(surveys)

    for _ in range(20):
        page = await surveys.client.get(f"{path}?score=5")
        assert (await surveys.client.head(f"{path}?score=5")).status_code == 200

    assert 'value="5" checked' in page.text
    assert (await surveys.row(Survey)).state == "pending"
    assert await surveys.count(SpentChallenge) == 0


async def test_the_code_from_the_picture_is_as_good_as_the_widget(surveys: Stage) -> None:
    """Without scripts or a secure context people read or hear six digits."""
    path = await invited(surveys)
    page = await surveys.client.get(path)

    answer = await surveys.client.post(path, data={"score": "3", "comment": "", **read_code(page.text, KEY)})

    assert answer.status_code == 303
    assert (await surveys.row(Survey)).score == 3


async def test_picture_and_recording_of_a_code_are_served(surveys: Stage) -> None:
    """The code comes in two modalities."""
    fields = read_code((await surveys.client.get(await invited(surveys))).text, KEY)

    picture = await surveys.client.get(f"/captcha/{fields['captcha_challenge']}/image.png")
    recording = await surveys.client.get(f"/captcha/{fields['captcha_challenge']}/audio.wav")

    assert picture.content.startswith(b"\x89PNG")
    assert recording.content.startswith(b"RIFF")


async def test_a_wrong_code_costs_its_challenge_and_nothing_that_was_typed(surveys: Stage) -> None:
    """One try for each picture, so codes cannot be guessed in a row; people get a new one and keep their text."""
    path = await invited(surveys)
    fields = read_code((await surveys.client.get(path)).text, KEY)
    wrong = {**fields, "captcha_code": "000000" if fields["captcha_code"] != "000000" else "111111"}

    refused = await surveys.client.post(path, data={"score": "3", "comment": "kept text", **wrong})
    again = await surveys.client.post(path, data={"score": "3", "comment": "", **fields})

    assert refused.status_code == again.status_code == 422
    assert "kept text" in refused.text
    assert 'value="3" checked' in refused.text
    assert fields["captcha_challenge"] not in refused.text
    assert (await surveys.row(Survey)).state == "pending"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "show that you are a person"),
        ({"altcha": "e30="}, "did not work"),
        ({"altcha": "not base64"}, "did not work"),
        ({"captcha_challenge": "a.b.c", "captcha_code": "123456"}, "did not work"),
        ({"captcha_challenge": "", "captcha_code": "123456"}, "show that you are a person"),
    ],
)
async def test_without_a_solved_captcha_nothing_is_saved(surveys: Stage, fields: dict, told: str) -> None:
    """Missing and made-up solutions are refused."""
    path = await invited(surveys)

    refused = await surveys.client.post(path, data={"score": "5", "comment": "", **fields})

    assert refused.status_code == 422
    assert told in refused.text
    assert (await surveys.row(Survey)).state == "pending"


async def test_a_captcha_solved_for_one_survey_opens_no_other(surveys: Stage) -> None:
    """A challenge is bound to its form."""
    first = await invited(surveys)
    second = await invited(surveys, ticket_id="T-2")
    solved = await solved_widget(surveys.client, f"{first}/challenge")

    refused = await surveys.client.post(second, data={"score": "5", "comment": "", **solved})

    assert refused.status_code == 422


async def test_a_captcha_runs_out_after_two_hours(surveys: Stage) -> None:
    """An old solution is refused with a fresh challenge beside it."""
    path = await invited(surveys)
    fields = read_code((await surveys.client.get(path)).text, KEY)
    surveys.later(hours=3)

    refused = await surveys.client.post(path, data={"score": "5", "comment": "", **fields})

    assert refused.status_code == 422
    assert "has run out" in refused.text


@pytest.mark.parametrize("score", ["", "0", "6", "-1", "5.0", "five", "٣", "1 OR 1=1"])
async def test_a_score_outside_one_to_five_is_refused_and_the_comment_kept(surveys: Stage, score: str) -> None:
    """The captcha is not spent on a form that has to be sent again."""
    path = await invited(surveys)

    refused = await rate(surveys, path, score=score, comment="my words")

    assert refused.status_code == 422
    assert "choose 1 to 5 stars" in refused.text
    assert "my words" in refused.text
    assert await surveys.count(SpentChallenge) == 0


async def test_a_comment_may_have_2000_characters_and_not_one_more(surveys: Stage) -> None:
    """Characters are counted, not bytes; what is too long stays on the page to be shortened."""
    path = await invited(surveys)

    refused = await rate(surveys, path, score="5", comment="ü" * 2001)
    taken = await rate(surveys, path, score="5", comment="😀" * 2000)

    assert refused.status_code == 422
    assert "Your comment is 1 character too long." in refused.text
    assert "ü" * 2001 in refused.text
    assert taken.status_code == 303
    assert len((await surveys.row(Survey)).comment) == 2000


async def test_an_answer_to_an_answered_survey_shows_the_first_one(surveys: Stage) -> None:
    """The first rating stays."""
    path = await invited(surveys)
    await rate(surveys, path, score="5")

    second = await rate(surveys, path, score="1")

    assert second.headers["location"] == path
    assert (await surveys.row(Survey)).score == 5


async def test_after_its_time_a_survey_shows_that_it_ended_and_takes_nothing(surveys: Stage) -> None:
    """The page looks at the time itself and does not wait for the job that expires surveys."""
    path = await invited(surveys)
    surveys.later(days=14)

    page = await surveys.client.get(path)
    answer = await rate(surveys, path, score="5")

    assert "This survey has ended" in page.text
    assert answer.headers["location"] == path
    assert (await surveys.row(Survey)).score is None


async def test_a_withdrawn_survey_says_that_the_request_is_open_again(surveys: Stage) -> None:
    """Who follows an old link understands why there is nothing to rate."""
    path = await invited(surveys)
    await surveys.hears(a_ticket_reopened())

    assert "Your request is open again" in (await surveys.client.get(path)).text


async def undeliverable(surveys: Stage) -> str:
    """A survey whose invitation did not arrive; tell its path all the same."""
    path = await invited(surveys)
    survey = await surveys.row(Survey)
    await surveys.hears(a_notification_failed(subject_id=str(survey.survey_id)))
    await surveys.said()
    return path


async def test_who_has_the_link_of_an_undeliverable_survey_may_answer_it(surveys: Stage) -> None:
    """Mail servers err, and links are passed on: an answer is an answer, and is told as every other."""
    path = await undeliverable(surveys)

    page = await surveys.client.get(path)
    answer = await rate(surveys, path, score="4", comment="It came after all")

    assert page.text.count('name="score"') == 5
    assert answer.headers["location"] == f"{path}/thanks"
    survey = await surveys.row(Survey)
    assert (survey.state, survey.score, survey.expired_reason, survey.expired_at) == ("submitted", 4, None, None)
    assert [type(event) for event in await surveys.said()] == [SurveySubmitted]


async def test_news_that_the_invitation_failed_does_not_undo_an_answer(surveys: Stage) -> None:
    """A bounce may come days later, from a mailbox that the invitation was passed on to."""
    path = await invited(surveys)
    await rate(surveys, path, score="5")
    await surveys.said()

    await surveys.hears(a_notification_failed(subject_id=str((await surveys.row(Survey)).survey_id)))

    assert (await surveys.row(Survey)).score == 5
    assert await surveys.said() == []


async def test_an_undeliverable_survey_ends_with_its_time_as_every_other(surveys: Stage) -> None:
    """The link opens the question no longer than it would have."""
    path = await undeliverable(surveys)
    surveys.later(days=14)

    page = await surveys.client.get(path)
    answer = await rate(surveys, path, score="5")

    assert "This survey has ended" in page.text
    assert answer.headers["location"] == path
    assert (await surveys.row(Survey)).score is None


async def test_every_response_keeps_the_link_to_itself(surveys: Stage) -> None:
    """The address holds the token: no referrer, no cache, no index, no frame; on error pages, too."""
    path = await invited(surveys)

    for answer in (
        await surveys.client.get(path),
        await surveys.client.get("/s/unknown"),
        await surveys.client.delete(path),
        await surveys.client.post(path, data={"score": "9"}),
    ):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


async def test_a_form_with_a_field_twice_or_a_file_is_refused_kindly(surveys: Stage) -> None:
    """A form that no browser of ours sends is told apart from an empty one."""
    path = await invited(surveys)
    urlencoded = {"content-type": "application/x-www-form-urlencoded"}

    twice = await surveys.client.post(path, content="score=1&score=5", headers=urlencoded)
    file = await surveys.client.post(path, files={"comment": ("x.txt", b"hello")})
    broken = await surveys.client.post(
        path, content=b"\xff\xfe", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    huge = await surveys.client.post(path, content=b"comment=" + b"a" * 600_000, headers=urlencoded)

    assert [answer.status_code for answer in (twice, file, broken, huge)] == [400, 400, 400, 413]
    assert "That did not arrive in one piece" in twice.text
    assert (await surveys.row(Survey)).state == "pending"


async def test_what_people_wrote_is_shown_as_text(surveys: Stage) -> None:
    """Markup in a subject, a name or a comment stays text."""
    path = await invited(surveys, subject="<script>alert(1)</script> \"'><img src=x onerror=alert(1)>")
    before = (await surveys.client.get(path)).text
    await rate(
        surveys, path, score="1", comment="</textarea><script>x</script> javascript:alert(1) https://ok.example/a"
    )
    after = (await surveys.client.get(path)).text

    for page in (before, after):
        assert "<script>alert" not in page
        assert "<script>x" not in page
        assert "<img src=x" not in page
    assert 'href="https://ok.example/a"' in after
    assert 'href="javascript' not in after


async def test_pictures_are_drawn_for_challenges_of_ours_only(surveys: Stage) -> None:
    """Strangers cannot make us draw and speak whatever they like."""
    for name in ("x", "a.1.b.c", "%00", "." * 50):
        assert (await surveys.client.get(f"/captcha/{name}/audio.wav")).status_code == 404
        assert (await surveys.client.get(f"/captcha/{name}/image.png")).status_code == 404


async def test_a_file_is_kept_for_ever_only_under_its_own_hash(surveys: Stage) -> None:
    """During a deployment an old replica answers for a new page; a browser must not keep that for a year."""
    page = (await surveys.client.get(await invited(surveys))).text
    current = page.split('href="')[1:]
    sheet = next(part.split('"')[0] for part in current if part.startswith("/static/page.css"))

    async def kept(address: str) -> str:
        return (await surveys.client.get(address)).headers["cache-control"]

    assert "immutable" in await kept(sheet)
    assert await kept("/static/page.css?v=other") == "no-store"
    assert await kept("/static/none.css?v=1") == "no-store"


async def test_unknown_links_hold_no_connection(surveys: Stage) -> None:
    """More of them than the pool has connections, and the next visitor is still served."""
    for _ in range(30):
        assert (await surveys.client.get("/s/unknown")).status_code == 404

    assert surveys.service.engine.pool.checkedout() == 0
