"""How often somebody may ask for what costs something. Buckets are rows, so all replicas count together.

The algorithm is GCRA, the generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling): of a bucket only the
time is kept at which it will be full again. A request is let through when that time, and what the request adds to it,
lies no further ahead than a full bucket is worth. One statement decides and counts.

docs/rate-limits.md has the table; a test compares it with this.
"""

import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from litestar import Request, Response
from litestar.exceptions import TooManyRequestsException
from prometheus_client import Counter
from sqlalchemy import case, delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import Timestamp, is_outage
from shared.public_pages.client_address import Network, client_network

REFUSED = Counter(
    "closeloop_rate_limited_total",
    "Requests that were refused since too many came: by what they asked for, and by what was counted.",
    ["asked", "by"],
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rate:
    """`at_once` requests from a full bucket, which gets one back `every` so often."""

    at_once: int
    every: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may be asked for, by the network it comes from, by the link, challenge or key it is about, by tenant."""

    asked: str
    address: Rate | None = None
    link: Rate | None = None
    tenant: Rate | None = None


def _second(count: float) -> timedelta:
    return timedelta(seconds=1 / count)


def _minute(count: float) -> timedelta:
    return timedelta(minutes=1 / count)


SENDING = Limits(
    asked="reply or rating",
    address=Rate(300, _second(5)),
    link=Rate(60, _minute(2)),
    tenant=Rate(3000, _second(50)),
)
CHALLENGES = Limits(
    asked="captcha challenge",
    address=Rate(300, _second(5)),
    link=Rate(60, _minute(10)),
    tenant=Rate(3000, _second(50)),
)
CODES = Limits(asked="captcha picture or recording", address=Rate(120, _second(2)), link=Rate(20, _minute(10)))
DOWNLOADS = Limits(
    asked="attachment",
    address=Rate(300, _second(5)),
    link=Rate(60, _minute(30)),
    tenant=Rate(3000, _second(50)),
)
FRESH_LINKS = Limits(asked="fresh link", address=Rate(30, _minute(2)), link=Rate(5, _minute(1)))
UNKNOWN_LINKS = Limits(asked="unknown link", address=Rate(120, _second(1)))
WRONG_KEYS = Limits(asked="key that opens nothing", address=Rate(30, _minute(10)), link=Rate(30, _minute(10)))
REPORTS = Limits(asked="report", link=Rate(600, _second(10)))

ALL = (SENDING, CHALLENGES, CODES, DOWNLOADS, FRESH_LINKS, UNKNOWN_LINKS, WRONG_KEYS, REPORTS)


class BucketColumns:
    """Columns of a service's `rate_limit_buckets` table. A name is an HMAC: it shows no address and no link."""

    name: Mapped[bytes] = mapped_column(primary_key=True)
    full_at: Mapped[Timestamp]


class TooMany(TooManyRequestsException):
    """The request is one too many; `seconds` later one is let through."""

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many requests.", headers={"Retry-After": str(seconds)})
        self.seconds = seconds


class RateLimiter:
    """Counts requests in `table`. `proxies` are those whose word on a client's address counts."""

    def __init__(self, key: str, table: type[BucketColumns], proxies: Sequence[Network]) -> None:
        self._key = hmac.digest(key.encode(), b"rate limits", "sha256")
        self._table = table
        self._proxies = proxies

    async def take(self, limits: Limits, request: Request, *, link: str = "", tenant: str = "") -> None:
        """Count a request, or raise TooMany.

        In a transaction of its own that ends before the request's begins: buckets are locked for a moment only, and no
        request waits for a second connection while it holds one. Without the table everybody is let through.
        """
        counted = [
            (by, rate, whose)
            for by, rate, whose in (
                ("address", limits.address, client_network(request, self._proxies)),
                ("link", limits.link, link),
                ("tenant", limits.tenant, tenant),
            )
            if rate
        ]
        state = request.app.state
        try:
            async with state.sessions.begin() as session:
                # The narrow ones first: who is refused there takes nothing from all others of the tenant.
                for by, rate, whose in counted:
                    if not await self._takes(session, rate, self.bucket(limits, by, whose), state.clock()):
                        break
                else:
                    return
        except Exception as failure:
            if not is_outage(failure):
                raise
            log.warning("rate limits are not counted", reason=type(failure).__name__)
            return
        REFUSED.labels(limits.asked, by).inc()
        # At most that long: a bucket that is refused lacks less than one request.
        raise TooMany(math.ceil(rate.every.total_seconds()))

    def bucket(self, limits: Limits, by: str, whose: str) -> bytes:
        """Name a bucket."""
        return hmac.digest(self._key, f"{limits.asked}\0{by}\0{whose}".encode("utf-8", "surrogatepass"), "sha256")

    async def _takes(self, session: AsyncSession, rate: Rate, bucket: bytes, now: datetime) -> bool:
        table = self._table
        # No bucket takes longer to fill. A later time is of a clock that was ahead: nobody is kept out until it comes.
        latest = now + rate.at_once * rate.every
        begins = case((table.full_at > latest, now), else_=func.greatest(table.full_at, now))
        return bool(
            await session.scalar(
                insert(table)
                .values(name=bucket, full_at=now + rate.every)
                .on_conflict_do_update(
                    index_elements=["name"],
                    set_={"full_at": begins + rate.every},
                    where=begins <= now + (rate.at_once - 1) * rate.every,
                )
                .returning(table.full_at)
            )
        )

    async def forget_full(self, session: AsyncSession, now: datetime) -> None:
        """Drop buckets that are full: one that is not there is full, too."""
        await session.execute(delete(self._table).where(self._table.full_at <= now))


def tell_programs(_: Request, refused: TooManyRequestsException) -> Response:
    """Answer a script of ours, which reads no pages."""
    return Response({"detail": refused.detail}, status_code=429, headers=refused.headers)
