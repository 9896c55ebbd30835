"""What a key or a token lets in to: to programs it is a bearer token, to people a key is what they sign in with."""

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

from litestar import Request
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.tables import Account, ApiKey
from services.reports.tokens import Tokens
from shared.public_pages.api_keys import name_of, row_of
from shared.public_pages.rate_limits import REPORTS, WRONG_KEYS

Scope = Literal["figures", "responses"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Access:
    """What is opened: an account's figures, its responses or both; those of one agent where `agent_id` says so."""

    account: Account
    scopes: frozenset[str]
    agent_id: str | None = None


async def let_in(brought: str, request: Request, state: State) -> Access | None:
    """Find what a key or token opens, and count the request: by key, or by address where it opens nothing.

    Raises TooMany, and KeysAway (503). In a session of its own, which sees every account: the key is to tell which. And
    Litestar does not close what one dependency opened when a later one raises: with the route's session, each refused
    request would keep a connection until the garbage collector comes.
    """
    async with state.service.sessions() as session:
        if state.tokens and brought.count(".") == 2:
            access, name = await _by_token(brought, state.tokens, session)
        else:
            access, name = await behind_key(brought, session), name_of(brought)
        # Guesses at one key count as guesses, whoever makes them; its owner, who knows it, is not kept out by them.
        await state.limiter.take(REPORTS if access else WRONG_KEYS, request, link=name, session=session)
    return access


async def behind_key(key: str, session: AsyncSession) -> Access | None:
    """Find what a key opens; None for any text that opens nothing."""
    row = await row_of(key, ApiKey, session)
    return Access(row.account, frozenset(row.scopes), row.agent_id) if row else None


async def _by_token(token: str, tokens: Tokens, session: AsyncSession) -> tuple[Access | None, str]:
    """Find what a token opens, and under which name it is counted: all of one person's at one account together."""
    claims = await tokens.read(token)
    if claims is None:
        return None, hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
    account = await session.get(Account, claims.account_id)
    access = Access(account, claims.scopes, claims.agent_id) if account else None
    return access, f"token\0{claims.account_id}\0{claims.subject}"
