"""What a key or a token lets in to: to programs it is a bearer token, to people a key is what they sign in with."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import asyncpg
import structlog
from litestar import Request
from litestar.datastructures import State
from sqlalchemy import LargeBinary, Select, Text, bindparam, exists, select

from services.reports.asked import Tenant
from services.reports.tables import Account, ApiKey, RateLimitBucket
from shared.chassis.database import is_outage
from shared.chassis.prepared import Prepared, Row
from shared.chassis.tenancy import ANYBODY, seen
from shared.public_pages.access_links import digest
from shared.public_pages.api_keys import id_of, name_of
from shared.public_pages.rate_limits import REPORTS, WRONG_KEYS, refusal, taking_from

Scope = Literal["figures", "responses"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

log = structlog.get_logger()

_ACCOUNT = tuple(Account.__table__.columns[name] for name in Tenant.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Access:
    """What is opened: an account's figures, its responses or both; those of one agent where `agent_id` says so."""

    account: Tenant
    scopes: frozenset[str]
    agent_id: str | None = None


class _LookUp:
    """The statement that finds what opens an account, and counts the request where it does; and one that only finds.

    One statement, and so one transaction, which ends with it: each request begins with it.
    """

    def __init__(self, found: Select) -> None:
        opened = seen(found.where(ANYBODY.c.told == "on"), by=ANYBODY)
        self.alone = Prepared(opened)
        counted = opened.cte("opened")
        taken = taking_from(RateLimitBucket, where=counted).cte("taken")
        self.counted = Prepared(select(counted, exists().select_from(taken).label("is_within_limit")))


# A digest is compared here as any value is: who can tell how much of it was right learns nothing of what it is made of.
_BY_KEY = _LookUp(
    select(*_ACCOUNT, ApiKey.scopes, ApiKey.agent_id)
    .join(ApiKey, ApiKey.account_id == Account.account_id)
    .where(
        ApiKey.key_id == bindparam("key_id", type_=Text),
        ApiKey.digest == bindparam("digest", type_=LargeBinary),
        ApiKey.revoked_at.is_(None),
    )
)
_BY_ACCOUNT = _LookUp(select(*_ACCOUNT).where(Account.account_id == bindparam("account_id", type_=Text)))


async def let_in(brought: str, request: Request, state: State) -> Access | None:
    """Find what a key or token opens, and count the request: by key, or by address where it opens nothing.

    Raises TooMany, and KeysAway (503).
    """
    if state.tokens and brought.count(".") == 2:
        access, name = await _by_token(brought, state)
    else:
        access, name = await _by_key(brought, state), name_of(brought)
    if access is None:
        # Guesses at one key count as guesses, whoever makes them; its owner, who knows it, is not kept out by them.
        await state.limiter.take(WRONG_KEYS, request, link=name)
    return access


async def _by_key(key: str, state: State) -> Access | None:
    """Find what a key opens; None for any text that opens nothing."""
    key_id = id_of(key)
    if key_id is None:
        return None
    row = await _count(_BY_KEY, name_of(key), state, key_id=key_id, digest=digest(key))
    return Access(_tenant(row), frozenset(row.scopes), row.agent_id) if row else None


async def _by_token(token: str, state: State) -> tuple[Access | None, str]:
    """Find what a token opens, and under which name it is counted: all of one person's at one account together."""
    claims = await state.tokens.read(token)
    if claims is None:
        return None, hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    name = f"token\0{claims.account_id}\0{claims.subject}"
    row = await _count(_BY_ACCOUNT, name, state, account_id=claims.account_id)
    return (Access(_tenant(row), claims.scopes, claims.agent_id) if row else None), name


async def _count(look_up: _LookUp, name: str, state: State, **values: Any) -> Row | None:
    """Find what opens an account, and count the request. Raises TooMany."""
    now: datetime = state.clock()
    rate = REPORTS.link
    assert rate is not None
    bucket = state.limiter.bucket(REPORTS, "link", name)
    try:
        rows = await look_up.counted.rows(state.pool, {**state.limiter.values(rate, bucket, now), **values})
    except asyncpg.PostgresError as failure:
        if not is_outage(failure):
            raise
        # It answers, so maybe only the buckets cannot be written: then everybody is let through.
        rows = await look_up.alone.rows(state.pool, values)
        log.warning("rate limits are not counted", reason=type(failure).__name__)
        return rows[0] if rows else None
    if rows and not rows[0].is_within_limit:
        raise refusal(REPORTS, "link", rate)
    return rows[0] if rows else None


def _tenant(row: Row) -> Tenant:
    return Tenant(*row[: len(_ACCOUNT)])
