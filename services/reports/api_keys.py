"""Keys that open the reports of one account, to programs as a bearer token and to people as what they sign in with.

A key is `cl_<id>_<secret>`: the id names it to operators, the secret has 256 random bits, so a plain SHA-256 digest is
enough to keep. Unknown, malformed and revoked keys are told apart by nobody.
"""

import hmac
import re
import secrets
from datetime import datetime

from litestar import Request
from litestar.datastructures import State
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.tables import Account, ApiKey
from shared.public_pages.access_links import digest
from shared.public_pages.rate_limits import REPORTS, WRONG_KEYS

_NAMING = len("cl_") + 12
"""Characters of a key that name it and are no secret."""

_SHAPE = re.compile(r"cl_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


def new_key(account_id: str, name: str, now: datetime) -> tuple[ApiKey, str]:
    """Make the row to store and the key to hand over, which cannot be had again."""
    key_id = secrets.token_hex(6)
    key = f"cl_{key_id}_{secrets.token_urlsafe(32)}"
    return ApiKey(key_id=key_id, account_id=account_id, name=name, digest=digest(key), created_at=now), key


async def account_let_in(key: str, request: Request, state: State) -> Account | None:
    """Find the account a key opens, and count the request: by key, or by address where it opens nothing.

    Raises TooMany. In a session of its own, which sees every account: the key is to tell which. And Litestar does not
    close what one dependency opened when a later one raises: with the route's session, each refused request would keep
    a connection until the garbage collector comes.
    """
    async with state.service.sessions() as session:
        account = await account_behind(key, session)
    # Guesses at one key are counted as guesses, whoever makes them; its owner, who knows it, is not kept out by them.
    await state.limiter.take(REPORTS if account else WRONG_KEYS, request, link=key[:_NAMING])
    return account


async def account_behind(key: str, session: AsyncSession) -> Account | None:
    """Find the account a key opens; None for any text that opens none."""
    shape = _SHAPE.fullmatch(key)
    if shape is None:
        return None
    found = (
        await session.execute(
            select(Account, ApiKey.digest)
            .join(ApiKey, ApiKey.account_id == Account.account_id)
            .where(ApiKey.key_id == shape[1], ApiKey.revoked_at.is_(None))
        )
    ).first()
    if found is None or not hmac.compare_digest(found.digest, digest(key)):
        return None
    return found.Account
