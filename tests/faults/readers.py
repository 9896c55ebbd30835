"""Who looks at the reports all the while: they are there in every fault but their own, and no rating vanishes."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import asyncpg
import httpx

from tests.faults.api import REPORTS, address_of, make_key
from tests.faults.oracles import Violation
from tests.faults.system import System
from tests.faults.visits import Visitors

EVERY_SECONDS = 0.4


class Readers:
    """Read one report after the other of some accounts."""

    def __init__(self, system: System, visitors: Visitors, account_ids: Sequence[str], rng: random.Random) -> None:
        self.violations: list[Violation] = []
        self._system = system
        self._visitors = visitors
        self._account_ids = account_ids
        self._rng = rng
        self._responses: dict[str, int] = {}

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._go_on(), name="readers")

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and (failure := self._task.exception()):
            raise failure

    async def _go_on(self) -> None:
        keys = {account_id: await self._key(account_id) for account_id in self._account_ids}
        while True:
            account_id, report = self._rng.choice(self._account_ids), self._rng.choice(REPORTS)
            with contextlib.suppress(httpx.TransportError):
                answer = await self._visitors.ask("reports", "GET", address_of(report), key=keys[account_id])
                if answer.status_code == 200 and report == "summary":
                    self._compare(account_id, answer.json()["satisfaction"]["responses"])
            await asyncio.sleep(EVERY_SECONDS)

    async def _key(self, account_id: str) -> str:
        while True:
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                async with self._system.admin("reports") as reports:
                    return await make_key(reports, account_id)
            await asyncio.sleep(0.2)

    def _compare(self, account_id: str, responses: int) -> None:
        before = self._responses.get(account_id, 0)
        if responses < before:
            self.violations.append(Violation("O5", f"{account_id} had {before} responses and then {responses}"))
        self._responses[account_id] = responses
