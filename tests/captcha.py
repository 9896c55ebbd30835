"""Solving captchas as a browser and as a person would."""

import json
from base64 import b64encode

import altcha
import httpx

from shared.public_pages import captcha
from shared.public_pages.captcha import CodeToRead

captcha.COUNTERS = range(5, 25)  # as hard as it must be to be solved, not to deter


async def solved_widget(client: httpx.AsyncClient, challenge_url: str) -> dict[str, str]:
    """The form field that ALTCHA's widget would fill: its challenge fetched, its counter found."""
    challenge = (await client.get(challenge_url)).json()
    return {"altcha": solution_of(challenge)}


def solution_of(challenge: dict) -> str:
    """The widget's answer to a challenge."""
    made = altcha.Challenge.from_dict(challenge)
    solution = altcha.solve_challenge(made)
    assert solution is not None
    return b64encode(json.dumps(altcha.Payload(made, solution).to_dict()).encode()).decode()


def read_code(page: str, key: str) -> dict[str, str]:
    """The form fields of who reads the digits off the picture."""
    challenge = page.split('name="captcha_challenge" value="')[1].split('"', maxsplit=1)[0]
    return {"captcha_challenge": challenge, "captcha_code": CodeToRead(key).code(challenge)}
