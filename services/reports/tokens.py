"""Who is let in by a token of an identity provider: a JWT (RFC 7519) signed with a key that the provider publishes.

Which algorithms count is fixed here and never read from a token: "none" and those with a shared secret open nothing
(RFC 8725, sections 3.1 and 3.2).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
import structlog
from litestar.exceptions import ServiceUnavailableException

from shared.contracts.event import MAX_ID_LENGTH

log = structlog.get_logger()

ALGORITHMS = ("RS256", "ES256", "EdDSA")
REQUIRED = ("exp", "iss", "aud", "sub")

FRESH_SECONDS = 300.0
"""How long keys are taken for the provider's present ones."""

PAUSE_SECONDS = 30.0
"""Between two looks at the provider's keys, whatever tokens name: nobody makes us ask it all the time."""

TIMEOUT_SECONDS = 2.0
"""For an answer of the provider's: requests wait for it."""

LEEWAY_SECONDS = 30.0
"""What its clock may differ from ours."""


class KeysAway(ServiceUnavailableException):
    """The provider does not give its keys, and the token is of one that we do not have."""

    def __init__(self) -> None:
        super().__init__("The keys to check tokens with cannot be had. Try again in a while.")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says that is signed by the provider and meant for us."""

    subject: str
    account_id: str
    scopes: frozenset[str]
    agent_id: str | None


class Tokens:
    """Reads the tokens of one provider. Its keys are fetched when they are needed, and kept when it is away."""

    def __init__(
        self, jwks_url: str, issuer: str, audience: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = jwt.PyJWKClient(jwks_url, cache_jwk_set=False, timeout=TIMEOUT_SECONDS)
        self._issuer = issuer
        self._audience = audience
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._stale_at = self._ask_again_at = float("-inf")
        self._away = False
        self._asking = asyncio.Lock()

    async def read(self, token: str) -> Claims | None:
        """Give what a token says; None for one that opens nothing, whatever the reason. Raises KeysAway (503)."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or not isinstance(key_id, str):
            return None
        key = await self._key(key_id)
        if key is None or key.algorithm_name != algorithm:
            return None
        try:
            said = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": list(REQUIRED)},
            )
        except jwt.PyJWTError:
            return None
        return _claims(said)

    async def _key(self, key_id: str) -> jwt.PyJWK | None:
        if key_id not in self._keys or self._monotonic() >= self._stale_at:
            async with self._asking:
                if self._monotonic() >= self._ask_again_at:
                    await self._ask()
        key = self._keys.get(key_id)
        if key is None and self._away:
            raise KeysAway
        return key

    async def _ask(self) -> None:
        try:
            keys = await asyncio.to_thread(self._provider.get_signing_keys)
        except (jwt.PyJWTError, OSError, ValueError) as failure:
            self._away = True
            log.warning("the keys to check tokens with cannot be had", reason=type(failure).__name__)
        else:
            self._away = False
            self._keys = {key.key_id: key for key in keys if key.key_id and key.algorithm_name in ALGORITHMS}
            self._stale_at = self._monotonic() + FRESH_SECONDS
        self._ask_again_at = self._monotonic() + PAUSE_SECONDS


def _claims(said: dict[str, object]) -> Claims | None:
    """Read the claims that are ours: `account`, `scope` (RFC 8693, section 4.2) and, if it is there, `agent`."""
    subject, account_id, agent_id = (_id(said.get(name)) for name in ("sub", "account", "agent"))
    scope = said.get("scope")
    if subject is None or account_id is None or not isinstance(scope, str) or ("agent" in said and agent_id is None):
        return None
    return Claims(subject, account_id, frozenset(scope.split(" ")), agent_id)


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and value.isprintable() else None
