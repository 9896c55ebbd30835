"""Getting past the captcha: replay, splice, expiry, another form's or ticket's, guessing (S20)."""

import asyncio
import base64
import json
import time
from typing import Any

import altcha
import pytest

from services.portal.tables import SpentChallenge
from services.portal.ticket import Message
from services.surveys.survey import Survey
from tests.attacks.conftest import invited
from tests.builders import a_reply_sent, a_ticket, an_account
from tests.captcha import read_code, solution_of, solved_widget
from tests.portal.conftest import KEY, mailed
from tests.stage import Stage


async def refused(portal: Stage, path: str, fields: dict[str, str]) -> bool:
    """Whether a reply with these fields does not get through."""
    answer = await portal.client.post(path, data={"body": "spam", **fields})
    assert answer.status_code in {303, 422}
    return answer.status_code == 422


def opened(answer: str) -> dict[str, Any]:
    """What a solution says."""
    return json.loads(base64.b64decode(answer))


def closed(payload: dict[str, Any]) -> dict[str, str]:
    """A solution that says something else."""
    return {"altcha": base64.b64encode(json.dumps(payload).encode()).decode()}


async def test_a_solution_is_good_once_for_whatever_is_sent_with_it(portal: Stage) -> None:
    """Replay: for another text, another spelling of the same solution, and fifty at the same moment."""
    path = await mailed(portal)
    solved = await solved_widget(portal.client, f"{path}/challenge")
    payload = opened(solved["altcha"])
    again = [closed(payload), closed(dict(reversed(payload.items()))), closed({**payload, "took": 1}), solved]

    answers = await asyncio.gather(
        *(
            portal.client.post(path, data={"body": f"spam {number}", **again[number % len(again)]})
            for number in range(40)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [303] + [422] * 39
    assert len(await portal.rows(Message, kind="requester")) == 1
    assert await portal.count(SpentChallenge) == 1


async def test_a_solution_of_one_service_opens_nothing_of_another(stages: dict[str, Stage]) -> None:
    """Cross-form use: portal and surveys with one key, and still each has its own."""
    portal, surveys = stages["portal"], stages["surveys"]
    ticket, survey = await mailed(portal), await invited(surveys)
    of_ticket = await solved_widget(portal.client, f"{ticket}/challenge")
    of_survey = await solved_widget(surveys.client, f"{survey}/challenge")
    code_of_survey = read_code((await surveys.client.get(survey)).text, KEY)

    assert await refused(portal, ticket, of_survey)
    assert await refused(portal, ticket, code_of_survey)
    answer = await surveys.client.post(survey, data={"score": "1", "comment": "", **of_ticket})
    assert answer.status_code == 422
    assert (await surveys.row(Survey)).state == "pending"


async def test_a_ticket_of_the_same_id_in_another_account_is_another_form(portal: Stage) -> None:
    """Cross-tenant use: the challenge is bound to account and ticket, whatever stands between them."""
    links = []
    for account_id, ticket_id in (("acme", "T-1"), ("other", "T-1"), ("acme/T", "1"), ("acme", "T/1")):
        ticket = a_ticket(ticket_id=ticket_id, version=2)
        await portal.hears(an_account(account_id=account_id), a_reply_sent(account_id=account_id, ticket=ticket))
        links.append((await portal.said())[-1].link.removeprefix("https://portal.example"))
    first, *others = links
    solved = await solved_widget(portal.client, f"{first}/challenge")

    assert [await refused(portal, other, solved) for other in others] == [True, True, True]


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "00" * 16},
        {"salt": "00" * 16},
        {"cost": 1},
        {"keyPrefix": ""},
        {"keySignature": "00" * 32},
        {"algorithm": "SHA-256"},
        {"algorithm": ""},
        {"data": {"purpose": "ticket:acme/T-1", "expires": 99999999999}},
        {"data": {"purpose": "ticket:acme/T-2", "expires": 1}},
        {"data": None},
        {"data": []},
        {"expiresAt": 99999999999},
    ],
    ids=str,
)
async def test_a_challenge_that_was_changed_is_none_of_ours(portal: Stage, change: dict[str, Any]) -> None:
    """Splice: any part of a challenge replaced, made easier or longer-lived, voids it."""
    path = await mailed(portal)
    payload = opened((await solved_widget(portal.client, f"{path}/challenge"))["altcha"])
    payload["challenge"]["parameters"] |= change

    assert await refused(portal, path, closed(payload))
    assert await portal.count(SpentChallenge) == 0


async def test_parts_of_two_solutions_make_no_third(portal: Stage) -> None:
    """Splice: the signature of one with the parameters of the other, the work of one with another's challenge."""
    path = await mailed(portal)
    first, second = [opened((await solved_widget(portal.client, f"{path}/challenge"))["altcha"]) for _ in range(2)]
    challenge, other = first["challenge"], second["challenge"]
    mixed = [
        {"challenge": {**challenge, "signature": other["signature"]}, "solution": first["solution"]},
        {"challenge": {**challenge, "parameters": other["parameters"]}, "solution": second["solution"]},
        {"challenge": challenge, "solution": second["solution"]},
        {"challenge": challenge},
        {"challenge": challenge, "solution": None},
        {"challenge": {**challenge, "signature": ""}, "solution": first["solution"]},
        {"challenge": {"parameters": challenge["parameters"]}, "solution": first["solution"]},
    ]

    assert all([await refused(portal, path, closed(payload)) for payload in mixed])


async def test_a_challenge_of_somebody_elses_making_is_refused(portal: Stage) -> None:
    """Forgery: signed with an empty key, with a guess, with the name of the field."""
    path = await mailed(portal)
    for key in ("", "secret", "altcha", KEY):
        made = altcha.create_challenge(
            "PBKDF2/SHA-256",
            1,
            counter=1,
            data={"purpose": "ticket:acme/T-1", "expires": 99999999999},
            hmac_secret=key or " ",
            hmac_key_secret=key or " ",
        ).to_dict()
        assert await refused(portal, path, {"altcha": solution_of(made)})


async def test_solutions_run_out_at_their_minute(portal: Stage) -> None:
    """Stockpiling: solutions made ahead are worth nothing after two hours, neither work nor code."""
    path = await mailed(portal)
    solved = await solved_widget(portal.client, f"{path}/challenge")
    code = read_code((await portal.client.get(path)).text, KEY)
    portal.later(hours=2)

    assert await refused(portal, path, solved)
    assert await refused(portal, path, code)


async def test_a_code_can_be_guessed_once(portal: Stage) -> None:
    """Guessing: a wrong code spends its challenge, also when fifty guesses come at the same moment."""
    path = await mailed(portal)
    code = read_code((await portal.client.get(path)).text, KEY)
    right = int(code["captcha_code"])
    wrong = [{**code, "captcha_code": f"{(right + number) % 10**6:06}"} for number in range(1, 20)]
    assert await refused(portal, path, wrong[0])

    outcomes = [await refused(portal, path, fields) for fields in (wrong[0], *wrong[1:], code)]

    assert all(outcomes)
    assert await portal.count(SpentChallenge) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"captcha_challenge": "a.b.c.d", "captcha_code": "0"},
        {"captcha_challenge": "....", "captcha_code": "0"},
        {"captcha_challenge": "\0", "captcha_code": "\0"},
        {"captcha_challenge": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "captcha_code": "1"},
        {"captcha_challenge": "x" * 100_000, "captcha_code": "9" * 100_000},
        {"altcha": "A" * 200_000},
        {"altcha": base64.b64encode(b"[" * 20_000).decode()},
        {"altcha": base64.b64encode(b"null").decode()},
        {"altcha": base64.b64encode(b"1e999").decode()},
        {"altcha": base64.b64encode(b'{"challenge":{"parameters":{"data":{"expires":1e308,"purpose":1}}}}').decode()},
        {"altcha": base64.b64encode(b'{"challenge":{"parameters":{"cost":99999999999}}}').decode()},
        {"altcha": "=" * 10},
    ],
    ids=range(12),
)
async def test_whatever_is_sent_for_a_solution_is_a_wrong_one_and_nothing_else(
    portal: Stage, fields: dict[str, str]
) -> None:
    """Parser bugs: deep, endless, empty, huge; each is told as every other wrong answer, and costs next to nothing."""
    path = await mailed(portal)

    assert await refused(portal, path, fields)
    assert await portal.count(SpentChallenge) == 0


async def test_work_is_not_asked_of_us(portal: Stage) -> None:
    """Costly verification: a cost that somebody else chose is not paid; the signature is checked first."""
    path = await mailed(portal)
    payload = opened((await solved_widget(portal.client, f"{path}/challenge"))["altcha"])
    payload["challenge"]["parameters"]["cost"] = 2_000_000_000
    begun = time.process_time()

    assert await refused(portal, path, closed(payload))

    assert time.process_time() - begun < 5


async def test_a_picture_and_its_recording_say_nothing_in_their_addresses(portal: Stage) -> None:
    """Oracles: the code is in no address, header or alternative text; two challenges have two codes."""
    path = await mailed(portal)
    pages = [await portal.client.get(path) for _ in range(2)]
    codes = [read_code(page.text, KEY) for page in pages]
    picture = await portal.client.get(f"/captcha/{codes[0]['captcha_challenge']}/image.png")

    assert codes[0]["captcha_challenge"] != codes[1]["captcha_challenge"]
    for page, code in zip(pages, codes, strict=True):
        assert code["captcha_code"] not in page.text.replace(code["captcha_challenge"], "")
        assert code["captcha_code"] not in str(picture.headers)
