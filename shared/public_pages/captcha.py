"""A captcha without a third party: proof of work where scripts run, a code from an image or a recording where not.

Checking a solution is stateless, so using it once is a row of ours: `admit` spends the challenge in the transaction
of what it lets through. Challenges are bound to a purpose, such as one ticket's reply form, and opened nowhere else.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import altcha
from captcha.audio import AudioCaptcha
from captcha.image import ImageCaptcha
from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from sqlalchemy import Text, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import Timestamp
from shared.public_pages.language import Language
from shared.public_pages.rate_limits import CODES, RateLimiter

LIFETIME = timedelta(hours=2)
"""How long a challenge can be answered: longer than people take to write."""

CODE_LENGTH = 6
MAKERS = 2
"""Images and recordings in the making at the same time."""

# Measured with the browser widget's algorithm: about half a second of work, checked in under a millisecond.
COST = 5000
COUNTERS = range(500, 2500)

Reason = Literal["missing", "wrong", "expired", "used"]


class SpentChallengeColumns:
    """Columns of a service's `spent_challenges` table."""

    nonce: Mapped[str] = mapped_column(Text, primary_key=True)
    effect: Mapped[bytes]
    expires_at: Mapped[Timestamp] = mapped_column(index=True)


class CaptchaRefused(Exception):
    """The captcha does not let this submission through."""

    def __init__(self, reason: Reason, spent: "Solution | None" = None) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.spent = spent

    def explained(self, language: Language) -> str:
        """Tell the person who sent it what is wrong."""
        return {
            "missing": language.gettext("Please show that you are a person."),
            "wrong": language.gettext("The check that you are a person did not work. Here is a new one."),
            "expired": language.gettext("The check that you are a person has run out. Here is a new one."),
            "used": language.gettext("The check that you are a person was used before. Here is a new one."),
        }[self.reason]


@dataclass(frozen=True, slots=True)
class Solution:
    """A challenge that was answered; it must be spent before it counts."""

    nonce: str
    expires_at: datetime


class Captcha(Protocol):
    """A kind of captcha. A hosted provider would be another of these."""

    def check(self, form: Mapping[str, str], purpose: str, now: datetime) -> Solution | None:
        """Check what the form brings; None when it brings nothing for this kind. Raises CaptchaRefused."""
        ...


class ProofOfWork:
    """ALTCHA, version 2 of its protocol: the browser searches a counter, no person has to do anything."""

    field = "altcha"

    def __init__(self, key: str) -> None:
        self._key = _derive(key, "proof of work")
        self._answer_key = _derive(key, "proof of work, answers")

    def challenge(self, purpose: str, now: datetime) -> dict[str, Any]:
        """Make what the widget fetches."""
        return altcha.create_challenge(
            "PBKDF2/SHA-256",
            COST,
            counter=secrets.choice(COUNTERS),
            # Signed with the rest. The library's own `expires_at` would be held against another clock than ours.
            data={"purpose": purpose, "expires": int((now + LIFETIME).timestamp())},
            hmac_secret=self._key,
            hmac_key_secret=self._answer_key,
        ).to_dict()

    def check(self, form: Mapping[str, str], purpose: str, now: datetime) -> Solution | None:
        """Check the widget's answer."""
        if not (answer := form.get(self.field, "")):
            return None
        try:
            parameters = json.loads(b64decode(answer, validate=True))["challenge"]["parameters"]
            expires_at = datetime.fromtimestamp(parameters["data"]["expires"], now.tzinfo)
            nonce, bound_to = str(parameters["nonce"]), parameters["data"]["purpose"]
            verified = altcha.verify_solution(answer, self._key, hmac_key_secret=self._answer_key).verified
        except Exception:  # noqa: BLE001 - whatever strangers send, it is a wrong answer and nothing else
            raise CaptchaRefused("wrong") from None
        if now >= expires_at:
            raise CaptchaRefused("expired")
        if not verified or bound_to != purpose:
            raise CaptchaRefused("wrong")
        return Solution(f"pow:{nonce}", expires_at)


class CodeToRead:
    """Six digits to read or to listen to. The server keeps nothing: the code is an HMAC of the challenge."""

    fields = ("captcha_challenge", "captcha_code")

    def __init__(self, key: str) -> None:
        self._key = _derive(key, "code to read").encode()

    def challenge(self, purpose: str, now: datetime) -> str:
        """Make the name of a challenge, for the addresses of its image and its recording."""
        expires = int((now + LIFETIME).timestamp())
        body = f"{secrets.token_urlsafe(12)}.{expires}.{self._mac('purpose', purpose)}"
        return f"{body}.{self._mac('challenge', body)}"

    def is_ours(self, challenge: str) -> bool:
        """Tell whether we made this challenge, for whatever purpose and however long ago."""
        body, _, signature = challenge.rpartition(".")
        return hmac.compare_digest(signature.encode("utf-8", "replace"), self._mac("challenge", body).encode())

    def code(self, challenge: str) -> str:
        """Compute the digits that the image shows."""
        number = int.from_bytes(hmac.digest(self._key, f"code:{challenge}".encode(), "sha256"))
        return str(number % 10**CODE_LENGTH).zfill(CODE_LENGTH)

    def check(self, form: Mapping[str, str], purpose: str, now: datetime) -> Solution | None:
        """Check the digits. One try for each challenge: a wrong one is spent, too."""
        challenge, code = (form.get(field, "").strip() for field in self.fields)
        if not challenge or not code:
            return None
        if not self.is_ours(challenge):
            raise CaptchaRefused("wrong")
        nonce, expires, bound_to, _ = challenge.split(".")
        if bound_to != self._mac("purpose", purpose):
            raise CaptchaRefused("wrong")
        expires_at = datetime.fromtimestamp(int(expires), now.tzinfo)
        if now >= expires_at:
            raise CaptchaRefused("expired")
        solution = Solution(f"code:{nonce}", expires_at)
        if not hmac.compare_digest(_digits(code).encode(), self.code(challenge).encode()):
            raise CaptchaRefused("wrong", spent=solution)
        return solution

    def _mac(self, use: str, text: str) -> str:
        return hmac.digest(self._key, f"{use}:{text}".encode("utf-8", "replace"), "sha256").hex()[:32]


class Gate:
    """Lets a form through when one of its captchas is solved, once for each challenge."""

    def __init__(self, key: str, table: type[SpentChallengeColumns], limiter: RateLimiter) -> None:
        self.proof_of_work = ProofOfWork(key)
        self.code_to_read = CodeToRead(key)
        self._kinds: tuple[Captcha, ...] = (self.proof_of_work, self.code_to_read)
        self._table = table
        self._limiter = limiter
        self._makers = asyncio.Semaphore(MAKERS)

    async def admit(
        self, form: Mapping[str, str], purpose: str, content: str, session: AsyncSession, now: datetime
    ) -> bool:
        """Spend the form's challenge. False when this very content was let through with it before: a double click.

        Raises CaptchaRefused when no captcha was solved or the challenge was spent on something else.
        """
        try:
            solution = self._solution(form, purpose, now)
        except CaptchaRefused as refused:
            if refused.spent:
                await self._spend(refused.spent, b"", session)
            raise
        effect = _effect(purpose, content)
        spent_on = await self._spend(solution, effect, session)
        if spent_on is None:
            return True
        if spent_on != effect:
            raise CaptchaRefused("used")
        return False

    async def has_admitted(
        self, form: Mapping[str, str], purpose: str, content: str, session: AsyncSession, now: datetime
    ) -> bool:
        """Tell whether this very form was let through with this content before. Spends nothing."""
        try:
            solution = self._solution(form, purpose, now)
        except CaptchaRefused:
            return False
        spent_on = await session.scalar(select(self._table.effect).where(self._table.nonce == solution.nonce))
        return spent_on == _effect(purpose, content)

    def is_solved(self, form: Mapping[str, str], purpose: str, now: datetime) -> bool:
        """Tell whether the form brings a solution, spent or not."""
        try:
            return bool(self._solution(form, purpose, now))
        except CaptchaRefused:
            return False

    def _solution(self, form: Mapping[str, str], purpose: str, now: datetime) -> Solution:
        for kind in self._kinds:
            if solution := kind.check(form, purpose, now):
                return solution
        raise CaptchaRefused("missing")

    async def _spend(self, solution: Solution, effect: bytes, session: AsyncSession) -> bytes | None:
        """Record what a challenge was spent on; tell what it was spent on before, None when on nothing."""
        table = self._table
        first = await session.scalar(
            insert(table)
            .values(nonce=solution.nonce, effect=effect, expires_at=solution.expires_at)
            .on_conflict_do_nothing()
            .returning(table.nonce)
        )
        if first:
            return None
        return await session.scalar(select(table.effect).where(table.nonce == solution.nonce))

    async def forget_expired(self, session: AsyncSession, now: datetime) -> None:
        """Drop what was spent and could not be used again anyway."""
        await session.execute(delete(self._table).where(self._table.expires_at < now))

    def routes(self) -> list:
        """Serve images and recordings of codes. Asking for one changes nothing and spends nothing."""

        @get("/captcha/{challenge:str}/image.png")
        async def show_code(challenge: FromPath[str], request: Request) -> Response[bytes]:
            """Draw the digits."""
            return Response(await self._made(_draw, challenge, request), media_type="image/png")

        @get("/captcha/{challenge:str}/audio.wav")
        async def say_code(challenge: FromPath[str], request: Request) -> Response[bytes]:
            """Speak the digits, in English."""
            return Response(await self._made(_say, challenge, request), media_type="audio/wav")

        return [show_code, say_code]

    async def _made(self, make: Callable[[str], bytes], challenge: str, request: Request) -> bytes:
        """Draw or say the code of a challenge of ours, a few at a time: a recording costs a fifth of a second."""
        if not self.code_to_read.is_ours(challenge):
            raise NotFoundException
        await self._limiter.take(CODES, request, link=challenge)
        async with self._makers:
            return await asyncio.to_thread(make, self.code_to_read.code(challenge))


def _effect(purpose: str, content: str) -> bytes:
    return hashlib.sha256(f"{purpose}\0{content}".encode("utf-8", "surrogatepass")).digest()


def _draw(code: str) -> bytes:
    return ImageCaptcha(width=240, height=80, font_sizes=(52, 58, 64)).generate(code).getvalue()


def _say(code: str) -> bytes:
    return bytes(AudioCaptcha().generate(code))


def _digits(text: str) -> str:
    """Read digits as typed: spaces allowed, and any script's digits, since people type them on their own keyboard."""
    return "".join(str(int(character)) for character in text if character.isdecimal())


def _derive(key: str, use: str) -> str:
    """One key for each use, so that no signature made for one means anything in another."""
    return hmac.digest(key.encode(), use.encode(), "sha256").hex()
