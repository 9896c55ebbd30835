"""Whom a key lets in: to programs it is a bearer token, to people what they sign in with."""

from litestar import Request
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncSession

from services.reports.tables import Account, ApiKey
from shared.public_pages.api_keys import name_of, row_of
from shared.public_pages.rate_limits import REPORTS, WRONG_KEYS


async def account_let_in(key: str, request: Request, state: State) -> Account | None:
    """Find the account a key opens, and count the request: by key, or by address where it opens nothing.

    Raises TooMany. In a session of its own, which sees every account: the key is to tell which. And Litestar does not
    close what one dependency opened when a later one raises: with the route's session, each refused request would keep
    a connection until the garbage collector comes.
    """
    async with state.service.sessions() as session:
        account = await account_behind(key, session)
    # Guesses at one key are counted as guesses, whoever makes them; its owner, who knows it, is not kept out by them.
    await state.limiter.take(REPORTS if account else WRONG_KEYS, request, link=name_of(key))
    return account


async def account_behind(key: str, session: AsyncSession) -> Account | None:
    """Find the account a key opens; None for any text that opens none."""
    row = await row_of(key, ApiKey, session)
    return row.account if row else None
