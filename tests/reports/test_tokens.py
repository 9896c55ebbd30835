"""Tokens of an identity provider, whose keys are fetched from a real server: what they open, and all they do not."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.reports import tokens
from services.reports.tokens import Tokens
from tests.builders import BEN, an_account
from tests.reports.told import a_key, answered, ask
from tests.stage import Stage

ISSUER, AUDIENCE = "https://login.example/", "closeloop-reports"
KEYS: dict[str, tuple[str, Any]] = {
    "rsa": ("RS256", rsa.generate_private_key(public_exponent=65537, key_size=2048)),
    "ec": ("ES256", ec.generate_private_key(ec.SECP256R1())),
    "ed": ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
}
OTHERS = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk_of(key_id: str) -> dict[str, Any]:
    """The public half as the provider publishes it."""
    algorithm, key = KEYS[key_id]
    written = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**written, "kid": key_id, "use": "sig"}


@dataclass
class Provider:
    """An identity provider: what it publishes, whether it answers, and how often it was asked."""

    published: list[dict[str, Any]] = field(default_factory=lambda: [jwk_of(name) for name in KEYS])
    away: bool = False
    asked: int = 0
    address: str = ""
    now: float = 0.0


@pytest.fixture
def provider(reports: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """One that reports was told of."""
    provider = Provider()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            body = json.dumps({"keys": provider.published}).encode()
            self.send_response(503 if provider.away else 200)
            self.end_headers()
            self.wfile.write(b"" if provider.away else body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/keys"
    monkeypatch.setattr(
        reports.app.state, "tokens", Tokens(address, ISSUER, AUDIENCE, lambda: provider.now), raising=False
    )
    yield provider
    server.shutdown()
    server.server_close()
    thread.join()


def a_token(key_id: str = "rsa", *, without: str = "", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """What the provider signs for somebody who may see Acme's reports."""
    algorithm, key = KEYS[key_id]
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "lead-1",
        "exp": time.time() + 300,
        "account": "acme",
        "scope": "figures responses",
        **claims,
    }
    said.pop(without, None)
    return jwt.encode(said, key, algorithm, headers={"kid": key_id, **(header or {})})


def by_hand(header: dict[str, Any], token: str, signature: bytes = b"") -> str:
    """A token with another header and signature."""
    parts = [json.dumps(header).encode(), None, signature]
    written = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() if part is not None else "" for part in parts]
    return f"{written[0]}.{token.split('.')[1]}.{written[2]}"


def signed_with_the_public_key(token: str) -> str:
    """HS256 with what everybody knows as its secret: the confusion of RFC 8725, section 2.1."""
    public = KEYS["rsa"][1].public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    start = by_hand({"alg": "HS256", "kid": "rsa"}, token).rpartition(".")[0]
    signature = jwt.get_algorithm_by_name("HS256").sign(start.encode(), secret)
    return by_hand({"alg": "HS256", "kid": "rsa"}, token, signature)


async def opens(reports: Stage, token: str, path: str = "/summary", **parameters: Any) -> httpx.Response:
    """What the API answers to a token."""
    return await ask(reports, path, key=token, **parameters)


@pytest.mark.parametrize("key_id", KEYS)
async def test_a_token_opens_its_account(reports: Stage, provider: Provider, key_id: str) -> None:
    """By each of the three algorithms; the keys are asked for once."""
    await reports.hears(an_account(), an_account(account_id="bolt"), answered("s", 5))

    for account, responses in (("acme", 1), ("bolt", 0), ("acme", 1)):
        answer = await opens(reports, a_token(key_id, account=account))
        assert answer.status_code == 200
        assert answer.json()["satisfaction"]["responses"] == responses
    assert provider.asked == 1


async def test_a_token_opens_what_its_scope_names_of_its_agent(reports: Stage, provider: Provider) -> None:
    """As a key that is limited does."""
    await reports.hears(an_account(), answered("s", 5), answered("b", 1, agent=BEN))

    figures = a_token(scope="openid figures", agent="ben")

    assert (await opens(reports, figures)).json()["satisfaction"]["average"] == 1.0
    assert (await opens(reports, figures, "/responses")).status_code == 403
    assert (await opens(reports, figures, agent="ada")).status_code == 403
    assert (await opens(reports, a_token(scope="openid"))).status_code == 403
    assert [
        response["survey_id"]
        for response in (await opens(reports, a_token(agent="ben"), "/responses")).json()["responses"]
    ] == ["b"]


WRONG = {
    "no signature (alg none)": lambda: by_hand({"alg": "none", "kid": "rsa"}, a_token()),
    "alg none in capitals": lambda: by_hand({"alg": "NONE", "kid": "rsa"}, a_token(), b"x"),
    "HS256 with the public key": lambda: signed_with_the_public_key(a_token()),
    "another's key under this name": lambda: jwt.encode(
        jwt.decode(a_token(), options={"verify_signature": False}), OTHERS, "RS256", {"kid": "rsa"}
    ),
    "another algorithm of the family": lambda: jwt.encode(
        jwt.decode(a_token(), options={"verify_signature": False}), KEYS["rsa"][1], "RS512", {"kid": "rsa"}
    ),
    "a key of another kind": lambda: a_token("rsa", header={"kid": "ec"}),
    "an unknown key": lambda: a_token(header={"kid": "nobody's"}),
    "a key it brings itself": lambda: a_token(
        header={"kid": "mine", "jwk": jwk_of("rsa"), "jku": "http://evil.example"}
    ),
    "no name of a key": lambda: by_hand({"alg": "RS256"}, a_token()),
    "a critical extension": lambda: a_token(header={"crit": ["b64"], "b64": True}),
    "expired": lambda: a_token(exp=time.time() - 31),
    "without an end": lambda: a_token(without="exp"),
    "not yet": lambda: a_token(nbf=time.time() + 600),
    "foreign audience": lambda: a_token(aud="somebody-else"),
    "without an audience": lambda: a_token(without="aud"),
    "foreign issuer": lambda: a_token(iss="https://evil.example/"),
    "without an issuer": lambda: a_token(without="iss"),
    "without a subject": lambda: a_token(without="sub"),
    "unknown account": lambda: a_token(account="acne"),
    "without an account": lambda: a_token(without="account"),
    "a list of accounts": lambda: a_token(account=["acme"]),
    "without a scope": lambda: a_token(without="scope"),
    "an agent that is none": lambda: a_token(agent=None),
    "an empty agent": lambda: a_token(agent=""),
    "cut off": lambda: a_token()[:-9],
    "changed": lambda: a_token().replace(".", ".e", 1),
    "no token": lambda: "a.b.c",
    "dots": lambda: "..",
}


@pytest.mark.parametrize("kind", WRONG)
async def test_wrong_tokens_are_refused_alike(reports: Stage, provider: Provider, kind: str) -> None:
    """Whatever is wrong with it, the answer is that of a wrong key: nothing can be learnt from it."""
    await reports.hears(an_account(), answered("s", 5))
    wrong_key = await ask(reports, "/summary", key="cl_nonsense")

    answer = await opens(reports, WRONG[kind]())

    assert answer.status_code == 401
    assert answer.text == wrong_key.text
    assert answer.headers["WWW-Authenticate"] == wrong_key.headers["WWW-Authenticate"]


async def test_without_a_provider_no_token_opens_anything(reports: Stage) -> None:
    """A service that was told of none takes none."""
    await reports.hears(an_account())

    assert (await opens(reports, a_token())).status_code == 401


async def test_when_the_provider_is_away_known_keys_go_on_and_unknown_ones_wait(
    reports: Stage, provider: Provider
) -> None:
    """An outage elsewhere keeps nobody out who could be let in, and is told from a wrong token."""
    await reports.hears(an_account(), answered("s", 5))
    provider.published = [jwk_of("rsa")]
    assert (await opens(reports, a_token("rsa"))).status_code == 200
    provider.away = True
    provider.now += tokens.FRESH_SECONDS

    unknown = await opens(reports, a_token("ec"))

    assert unknown.status_code == 503
    assert unknown.headers["Content-Type"] == "application/problem+json"
    assert unknown.headers["Retry-After"] == "30"
    assert "keys to check tokens" in unknown.json()["detail"]
    assert (await opens(reports, a_token("rsa"))).status_code == 200
    assert (await ask(reports, "/summary", key=await a_key(reports))).status_code == 200

    provider.away, provider.published = False, [jwk_of("ec")]
    provider.now += tokens.PAUSE_SECONDS
    assert (await opens(reports, a_token("ec"))).status_code == 200
    assert (await opens(reports, a_token("rsa"))).status_code == 401  # withdrawn


@pytest.mark.parametrize(
    "published", [[], "nonsense", [{"kty": "RSA"}], [{"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"}]]
)
async def test_a_provider_that_publishes_nonsense_opens_nothing(
    reports: Stage, provider: Provider, published: Any
) -> None:
    """No error of ours, and no secret of theirs that would let in."""
    await reports.hears(an_account())
    provider.published = published

    assert (await opens(reports, a_token())).status_code in {401, 503}


async def test_tokens_cannot_make_us_ask_the_provider_all_the_time(reports: Stage, provider: Provider) -> None:
    """Amplification: each of many tokens names another key."""
    await reports.hears(an_account())

    for number in range(10):
        await opens(reports, a_token(header={"kid": f"k-{number}"}))
    assert provider.asked == 1

    provider.now += tokens.PAUSE_SECONDS
    await opens(reports, a_token(header={"kid": "k-11"}))
    assert provider.asked == 2


async def test_wrong_tokens_are_counted_as_guesses_and_right_ones_by_who_brings_them(
    reports: Stage, provider: Provider
) -> None:
    """All tokens begin alike: that must not make everybody share one limit."""
    await reports.hears(an_account())
    answers = [(await opens(reports, a_token(aud=f"x-{number}"))).status_code for number in range(40)]

    assert answers[0] == 401
    assert answers[-1] == 429
    assert (await opens(reports, a_token())).status_code == 200
