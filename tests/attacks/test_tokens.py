"""Links: tokens cannot be guessed, stolen from a database, told apart when dead, or used elsewhere (S1-S4, S7)."""

import re
import statistics
import time

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, text, update

from services.portal.__main__ import main
from services.portal.link import AccessLink
from services.surveys.survey import Survey
from shared.contracts import Requester, RequesterErased
from shared.public_pages.access_links import AccessLinks, digest
from tests.attacks.conftest import invited
from tests.attacks.visits import SERVICES
from tests.builders import a_ticket_reopened
from tests.portal.conftest import KEY, URL, everything_stored, mailed
from tests.portal.test_links import revoke
from tests.stage import Stage

ROOTS = {"portal": "/t/", "surveys": "/s/"}


def links(purpose: str, key: str = KEY) -> AccessLinks:
    """Who makes links like ours."""
    return AccessLinks(key, purpose=purpose, base_url=URL, path="t")


TICKETS = links("ticket")


def spellings(token: str) -> list[str]:
    """What is not the token, in every way that lookups have been fooled by."""
    homoglyphs = token.translate(str.maketrans("aeopcxyABEHKMOPCTX-_", "аеорсхуАВЕНКМОРСТХ‐＿"))
    fullwidth = "".join(chr(ord(letter) + 0xFEE0) if letter.isalnum() else letter for letter in token)
    return [
        "A" * 43,
        "x",
        "0",
        "null",
        "None",
        "[]",
        "true",
        "%00",
        f"{token}%00",
        f"%00{token}",
        f"{token[:20]}%00{token[20:]}",
        f"{token}%20",
        f"%20{token}",
        f"{token}%0a",
        f"{token}=",
        f"{token}A",
        token[:-1],
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.swapcase(),
        token[::-1],
        digest(token).hex(),
        homoglyphs,
        fullwidth,
        f"{token}%E2%80%8B",
        "%ff%fe",
        "%ed%a0%80",
        "%",
        "%25",
        "_" * 43,
        "' OR '1'='1",
        "{{7*7}}",
        "😀",
        "A" * 5000,
    ]


JONAS = Requester(requester_id="jonas", name="Jonas Weber", email="jonas@customer.example")


async def erased(stage: Stage, path: str) -> str:
    """The path, whose owner has asked to be forgotten since."""
    await stage.hears(
        RequesterErased(account_id="acme", requester_id="jonas", request_id="e-1", erased_at=stage.clock())
    )
    return path


async def dead_links(stages: dict[str, Stage], service: str) -> dict[str, str]:
    """Links that were alive, by why they are not."""
    portal, surveys = stages["portal"], stages["surveys"]
    if service == "surveys":
        # A survey's page outlives its survey, to say what became of it; what was made for a ticket opens none.
        return {
            "of a ticket": "/s/" + TICKETS.token("acme", "T-1", 1),
            "of who was erased": await erased(surveys, await invited(surveys, ticket_id="T-erased", requester=JONAS)),
        }
    revoked = await mailed(portal, ticket_id="T-revoked")
    await revoke(portal, "T-revoked")
    expired = await mailed(portal, ticket_id="T-expired")
    async with portal.service.sessions.begin() as session:
        await session.execute(update(AccessLink).filter_by(ticket_id="T-expired").values(expires_at=portal.clock()))
    purged = await mailed(portal, ticket_id="T-purged")
    async with portal.service.sessions.begin() as session:
        await session.execute(delete(AccessLink).filter_by(ticket_id="T-purged"))
    of_jonas = await erased(portal, await mailed(portal, ticket_id="T-erased", requester=JONAS))
    survey = await invited(surveys)
    return {
        "purged": purged,
        "of who was erased": of_jonas,
        "revoked": revoked,
        "expired": expired,
        "of a survey": survey.replace("/s/", "/t/"),
        "of another purpose": "/t/" + links("survey").token("acme", "T-1", 1),
        "of another key": "/t/" + links("ticket", "x" * 32).token("acme", "T-1", 1),
    }


@pytest.mark.parametrize("service", SERVICES)
async def test_links_that_open_nothing_cannot_be_told_apart(stages: dict[str, Stage], service: str) -> None:
    """Token oracle: unknown, malformed, expired, revoked, foreign: one answer, byte for byte, whatever is asked."""
    stage = stages[service]
    alive = (await mailed(stage) if service == "portal" else await invited(stage)).removeprefix(ROOTS[service])
    dead = list((await dead_links(stages, service)).values())

    answers = []
    for path in (*dead, *(ROOTS[service] + spelling for spelling in spellings(alive))):
        await stage.forget_visits()
        answers += [
            await stage.client.get(path),
            await stage.client.post(path, data={"body": "Hello", "score": "5"}),
            await stage.client.post(path),
            await stage.client.post(path, content=b"\xff\xfe", headers={"content-type": "multipart/form-data"}),
            await stage.client.get(f"{path}/challenge"),
        ]
        assert (await stage.client.head(path)).status_code == 404

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({str(sorted(answer.headers.items())) for answer in answers}) == 1
    assert "Acme" not in answers[0].text
    assert (await stage.client.get(ROOTS[service] + alive)).status_code == 200


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("letter", ["A", "\0", "😀"], ids=["A", "NUL", "emoji"])
async def test_a_token_of_a_megabyte_is_unknown(stages: dict[str, Stage], service: str, letter: str) -> None:
    """Oversized tokens: the digest has 32 bytes, whatever comes."""
    path = ROOTS[service] + letter * 1_000_000
    said: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message) -> None:
        said.append(message)

    # Spoken to directly: no client of ours sends such an address.
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": []}
    await stages[service].app({**scope, "client": ("127.0.0.1", 1), "server": ("x", 80)}, receive, send)  # type: ignore

    assert said[0]["status"] == 404


@pytest.mark.parametrize("path", ["/t/", "/t", "/t//", "//", "/t/%2f", "/t/..%2f..%2fetc%2fpasswd"])
async def test_an_empty_token_opens_nothing(portal: Stage, path: str) -> None:
    """Empty secret accepted: a link without a token must not meet a row without one."""
    await mailed(portal)

    assert (await portal.client.get(path)).status_code == 404


async def test_dead_links_take_as_long_as_unknown_ones(stages: dict[str, Stage]) -> None:
    """Timing oracle: one look-up by digest for all of them. The band is wide, for this is no quiet room."""
    portal = stages["portal"]
    await mailed(portal)
    dead = {"unknown": "/t/" + "A" * 43, "malformed": "/t/%00", **await dead_links(stages, "portal")}
    seconds: dict[str, list[float]] = {name: [] for name in dead}

    for _ in range(25):
        await portal.forget_visits()
        for name, path in dead.items():
            begun = time.perf_counter()
            assert (await portal.client.get(path)).status_code == 404
            seconds[name].append(time.perf_counter() - begun)

    medians = {name: statistics.median(times) for name, times in seconds.items()}
    assert max(medians.values()) < 3 * min(medians.values()), medians


async def test_a_token_has_256_bits_that_look_like_nothing(portal: Stage) -> None:
    """Predictable tokens: a thousand tickets in a row, and no two tokens share more than chance would have them."""
    tokens = [TICKETS.token("acme", f"T-{number}", 1) for number in range(1000)]

    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", token) for token in tokens)
    assert len(set(tokens)) == 1000
    # Each of the first 42 characters carries 6 bits: every character turns up in every place, none of them often.
    for place in range(42):
        counts = [sum(token[place] == letter for token in tokens) for letter in {token[place] for token in tokens}]
        assert len(counts) == 64
        assert max(counts) < 60


def test_a_token_is_of_one_object_of_one_purpose() -> None:
    """Confused deputies: nobody can compute another token from their own, or meet it by a clever id."""
    others = [
        TICKETS.token("other", "T-1", 1),
        TICKETS.token("acme", "T-2", 1),
        TICKETS.token("acme", "T-1", 2),
        TICKETS.token("acmeT", "-1", 1),
        TICKETS.token("acme", "T-11"),
        TICKETS.token("acme", "T-1", 11),
        TICKETS.token("acme", "T-1\x001"),
        TICKETS.token("acme", "3:T-1", 1),
        links("survey").token("acme", "T-1", 1),
        links("ticket", KEY + "k").token("acme", "T-1", 1),
    ]

    assert TICKETS.token("acme", "T-1", 1) not in others
    assert len(set(others)) == len(others)


async def test_databases_hold_digests_only(stages: dict[str, Stage]) -> None:
    """Stolen backups: neither the token nor what it could be computed from is in any row, once its event is told."""
    for service, path in (("portal", await mailed(stages["portal"])), ("surveys", await invited(stages["surveys"]))):
        stage = stages[service]
        await stage.client.get(path)
        async with stage.service.sessions.begin() as session:
            await session.execute(text("DELETE FROM outbox"))  # as the relay does when the broker has it

        stored = await everything_stored(stage)

        token = path.split("/")[2]
        assert token not in stored
        assert token[:16] not in stored
        assert KEY not in stored
        assert repr(digest(token)) in stored


async def test_a_link_opens_its_own_ticket_and_nothing_beside_it(portal: Stage) -> None:
    """Insecure direct references: no parameter, no fragment of an address, no form field names another ticket."""
    mine, other = await mailed(portal), await mailed(portal, ticket_id="T-2", subject="The other one")
    tokens = [path.removeprefix("/t/") for path in (mine, other)]

    for query in (f"?token={tokens[1]}", "?ticket_id=T-2", "?account_id=other", f"?id={tokens[1]}&sent=yes"):
        assert "The other one" not in (await portal.client.get(mine + query)).text
    for path in (f"/t/{tokens[0]}/{tokens[1]}", f"/t/{tokens[0]},{tokens[1]}", f"/t/{tokens[0]}%2f{tokens[1]}"):
        assert (await portal.client.get(path)).status_code == 404
    await portal.client.post(mine, data={"body": "", "ticket_id": "T-2", "token": tokens[1]})
    assert {link.ticket_id for link in await portal.rows(AccessLink)} == {"T-1", "T-2"}


async def test_a_reopened_tickets_survey_link_opens_no_form(surveys: Stage) -> None:
    """Reuse of a withdrawn link: it says why, and takes nothing."""
    path = await invited(surveys)
    await surveys.hears(a_ticket_reopened())

    page = await surveys.client.get(path)
    await surveys.client.post(path, data={"score": "1", "comment": ""})

    assert "<form" not in page.text
    assert (await surveys.row(Survey)).score is None


def test_operators_are_not_shown_tokens() -> None:
    """Secrets on a screen: no command of the portal takes or prints one."""
    assert "token" not in CliRunner().invoke(main, ["--help"]).output.lower()
