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
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import TooManyRequestsException
from prometheus_client import Counter
from sqlalchemy import DateTime, FromClause, Interval, LargeBinary, bindparam, case, delete, func, inspect, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.dml import ReturningInsert

from shared.chassis.database import Timestamp, is_outage
from shared.public_pages.client_address import Network, client_network

_COMMIT_SOON = func.set_config("synchronous_commit", "off", true()) == "off"
"""Has the commit not wait for the disk: a crash of PostgreSQL may forget who asked in its last moment. It is said in
the statement that counts, for one of its own would be another round trip of every request."""

CLOCKS_DIFFER = timedelta(minutes=1)
"""More than those of replicas do, or a request waits between the look at its clock and being counted."""

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
REPORTS = Limits(asked="report", link=Rate(1200, _second(20)))

ALL = (SENDING, CHALLENGES, CODES, DOWNLOADS, FRESH_LINKS, UNKNOWN_LINKS, WRONG_KEYS, REPORTS)


class BucketColumns:
    """Columns of a service's `rate_limit_buckets` table. A name is an HMAC: it shows no address and no link."""

    name: Mapped[bytes] = mapped_column(primary_key=True)
    full_at: Mapped[Timestamp]


def taking_from(table: type[BucketColumns], *, where: FromClause | None = None) -> ReturningInsert[Any]:
    """Write the statement that takes one from a bucket, if there is a row in `where`, and tells nothing if it refuses.

    `RateLimiter.values` are its values.
    """
    now, latest, full = (bindparam(name, type_=DateTime(timezone=True)) for name in ("now", "latest", "full"))
    every = bindparam("every", type_=Interval)
    begins = case((table.full_at > latest, now), else_=func.greatest(table.full_at, now))
    first = select(bindparam("bucket", type_=LargeBinary), case((_COMMIT_SOON, now + every)))
    return (
        insert(inspect(table).local_table)  # the ORM would take its values for columns
        .from_select(["name", "full_at"], first if where is None else first.select_from(where))
        .on_conflict_do_update(index_elements=["name"], set_={"full_at": begins + every}, where=begins <= full)
        .returning(table.full_at)
    )


class TooMany(TooManyRequestsException):
    """The request is one too many; `seconds` later one is let through."""

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many requests.", headers={"Retry-After": str(seconds)})
        self.seconds = seconds


def refusal(limits: Limits, by: str, rate: Rate) -> TooMany:
    """Count a refusal and make it."""
    REFUSED.labels(limits.asked, by).inc()
    # At most that long: a bucket that is refused lacks less than one request.
    return TooMany(math.ceil(rate.every.total_seconds()))


class RateLimiter:
    """Counts requests in `table`. `proxies` are those whose word on a client's address counts."""

    def __init__(self, key: str, table: type[BucketColumns], proxies: Sequence[Network]) -> None:
        self._key = hmac.digest(key.encode(), b"rate limits", "sha256")
        self._table = table
        self._proxies = proxies
        self._taking = taking_from(table)

    async def take(
        self,
        limits: Limits,
        request: Request,
        *,
        link: str = "",
        tenant: str = "",
    ) -> None:
        """Count a request, or raise TooMany.

        In a transaction of its own that ends before the request's begins: buckets are locked for a moment only, and no
        request waits for a second connection while it holds one. Without the table everybody is let through.
        """
        counted = [
            (by, rate, self.bucket(limits, by, whose))
            for by, rate, whose in (
                ("address", limits.address, client_network(request, self._proxies)),
                ("link", limits.link, link),
                ("tenant", limits.tenant, tenant),
            )
            if rate
        ]
        state = request.app.state
        try:
            async with state.sessions() as session:
                refused = await self._refused(session, counted, state.clock())
                await session.commit()
        except Exception as failure:
            if not is_outage(failure):
                raise
            log.warning("rate limits are not counted", reason=type(failure).__name__)
            return
        if refused:
            raise refusal(limits, *refused)

    async def _refused(
        self, session: AsyncSession, counted: Sequence[tuple[str, Rate, bytes]], now: datetime
    ) -> tuple[str, Rate] | None:
        """Take from every bucket, up to the first that refuses; tell by what that counts, and its rate."""
        # The narrow ones first: who is refused there takes nothing from all others of the tenant.
        for by, rate, bucket in counted:
            if not await self._takes(session, rate, bucket, now):
                return by, rate
        return None

    def bucket(self, limits: Limits, by: str, whose: str) -> bytes:
        """Name a bucket."""
        return hmac.digest(self._key, f"{limits.asked}\0{by}\0{whose}".encode("utf-8", "surrogatepass"), "sha256")

    async def _takes(self, session: AsyncSession, rate: Rate, bucket: bytes, now: datetime) -> bool:
        return bool(await session.scalar(self._taking, self.values(rate, bucket, now)))

    @staticmethod
    def values(rate: Rate, bucket: bytes, now: datetime) -> dict[str, Any]:
        """Give the values for a statement of `taking_from`."""
        return {
            "bucket": bucket,
            "now": now,
            "every": rate.every,
            "full": now + (rate.at_once - 1) * rate.every,
            # No bucket takes longer to fill. A time well beyond is of a clock that was ahead: nobody is kept out until
            # then. Requests may be counted in another order than they came in, by clocks that differ a little.
            "latest": now + rate.at_once * rate.every + CLOCKS_DIFFER,
        }

    async def forget_full(self, session: AsyncSession, now: datetime) -> None:
        """Drop buckets that are full: one that is not there is full, too."""
        await session.execute(delete(self._table).where(self._table.full_at <= now))


def tell_programs(_: Request, refused: TooManyRequestsException) -> Response:
    """Answer a script of ours, which reads no pages."""
    return Response({"detail": refused.detail}, status_code=429, headers=refused.headers)
