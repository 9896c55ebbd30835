"""What becomes of a form that a stranger sent: it has its effect, is put aside as a robot's, or is told what lacks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from shared.public_pages import honeypot
from shared.public_pages.captcha import Gate
from shared.public_pages.pace import Pace
from shared.public_pages.quarantine import Reason

Verdict = Literal["admitted", "void", "impossible"] | Reason
"""`admitted`: it is to have its effect. A reason: it is to be put aside, its sender being thanked as ever. `void`: its
sender is to be thanked, and no more, as for a repeat. `impossible`: as it was said to be; its sender is to be told."""


class Admission:
    """Looks for a robot, then for a solved captcha, then for one that solved it faster than a person could."""

    def __init__(self, gate: Gate, pace: Pace) -> None:
        self._gate = gate
        self._pace = pace

    async def decide(
        self,
        form: Mapping[str, str],
        purpose: str,
        content: str,
        session: AsyncSession,
        now: datetime,
        *,
        possible: bool,
    ) -> Verdict:
        """Decide about a form, whose `content` can have its effect or not. Spends its captcha if it can.

        Raises CaptchaRefused. The caller holds a lock on what the form is about.
        """
        if honeypot.is_caught(form):
            return "honeypot" if possible else "void"
        if not possible:
            return "impossible"
        if not await self._gate.admit(form, purpose, content, session, now):
            return "void"
        return "too_fast" if self._pace.is_too_fast(form, purpose, now) else "admitted"
