"""Visitors over HTTP: each request is noted with its route, its answer and how long that took."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial

import httpx

from tests.faults.system import System
from tests.product import SERVICES

PATIENCE_SECONDS = 40.0
AT_ONCE = 8
"""Visitors of one service at the same time. Who comes when all places are taken waits at the door, not in the service:
a machine that is slow at the moment gets less to do, not more and more at once."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request. `status` is None when no answer came, and `error` then says why."""

    service: str
    method: str
    route: str
    status: int | None
    error: str
    retry_after: bool
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return self.ended - self.began


class Visitors:
    """A browser without cookies that remembers every answer. Who leaves before it came is no visitor."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(PATIENCE_SECONDS, connect=5.0), limits=httpx.Limits(max_connections=200)
        )
        self._doors = {service: asyncio.Semaphore(AT_ONCE) for service in SERVICES}
        self.visits: list[Visit] = []

    async def ask(
        self,
        service: str,
        method: str,
        route: str,
        token: str = "",
        *,
        form: dict[str, str] | None = None,
        key: str = "",
    ) -> httpx.Response:
        """Ask a service. `route` has `{token}` where the token goes, so that none is kept. Raises TransportError."""
        async with self._doors[service]:
            return await self._ask(service, method, route, token, form=form, key=key)

    async def _ask(
        self, service: str, method: str, route: str, token: str, *, form: dict[str, str] | None, key: str
    ) -> httpx.Response:
        address = self._system.address(service, len(self.visits)) + route.replace("{token}", token)
        # Each from an address of its own, as people come: none of them is what a rate limit is for.
        visitor = len(self.visits)
        headers = {"X-Forwarded-For": f"10.{visitor >> 16 & 255}.{visitor >> 8 & 255}.{visitor & 255}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        began = time.time()
        noted = partial(Visit, service, method, route, began=began)
        try:
            answer = await self._client.request(method, address, data=form, headers=headers)
        except httpx.TransportError as failure:
            self.visits.append(noted(status=None, error=type(failure).__name__, retry_after=False, ended=time.time()))
            raise
        retry_after = "Retry-After" in answer.headers
        self.visits.append(noted(status=answer.status_code, error="", retry_after=retry_after, ended=time.time()))
        return answer

    async def close(self) -> None:
        """Hang up."""
        await self._client.aclose()
