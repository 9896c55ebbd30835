"""Row-level security, the second lock between tenants: PostgreSQL itself shows a transaction one account's rows.

A table that is guarded shows nothing to a transaction that did not say whose it is. A page's says it of one account
(`session_of`); background work and operators, who deal with all of them, say so by the sessions they use
(`of_all_accounts`). The first lock is the WHERE of every query; this one holds where somebody forgets it.

It binds the owner of the tables as well, which a service's role is. It binds no superuser: no service should be one.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import CTE, Connection, Select, Text, bindparam, event, func, literal_column, select, text, true
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction

from shared.chassis.database import Sessions

ACCOUNT = "closeloop.account"
EVERY_ACCOUNT = "closeloop.every_account"
"""One of two settings that a transaction makes for itself alone. Not a value of the other: an account may be called
whatever it likes."""

SEE_EVERY_ACCOUNT = text(f"SET LOCAL {EVERY_ACCOUNT} = 'on'")
_SEE_ACCOUNT = text(f"SELECT set_config('{ACCOUNT}', :account_id, true)")
_WHOSE = "whose rows"


class _Guarded(Session):
    """A session whose transactions begin by saying whose rows they may see."""


@event.listens_for(_Guarded, "after_begin")
def _say_whose(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return  # a savepoint: the transaction around it has said so
    # Not before there is a transaction: a page that is refused before it asks anything has taken no connection.
    whose: Any = session.info.get(_WHOSE)
    if whose is EVERY_ACCOUNT:
        connection.execute(SEE_EVERY_ACCOUNT)
    elif whose is not None:
        connection.execute(_SEE_ACCOUNT, {"account_id": whose[0]})


def of_no_account(engine: AsyncEngine) -> Sessions:
    """Make sessions that see nothing of any account until `session_of` says whose."""
    return async_sessionmaker(engine, expire_on_commit=False, sync_session_class=_Guarded)


def of_all_accounts(engine: AsyncEngine) -> Sessions:
    """Make sessions that see every account: for consumers, chores and operators, never for what a visitor asks."""
    sessions = of_no_account(engine)
    sessions.configure(info={_WHOSE: EVERY_ACCOUNT})
    return sessions


def session_of(account_id: str, sessions: Sessions) -> AsyncSession:
    """Open a session whose transactions see this account's rows and no others."""
    return sessions(info={_WHOSE: (account_id,)})


@asynccontextmanager
async def transaction_of(account_id: str, sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Open such a session for one transaction: committed at the end, rolled back when something is raised."""
    async with session_of(account_id, sessions) as session, session.begin():
        yield session


def _telling(setting: str, value: Any) -> CTE:
    told = select(func.set_config(literal_column(f"'{setting}'"), value, true()).label("told"))
    return told.cte("whose").prefix_with("MATERIALIZED")


WHOSE = _telling(ACCOUNT, bindparam("account_id", type_=Text))
"""In a statement of `seen`: `WHOSE.c.told` is the account whose rows it sees, a value named `account_id`."""

ANYBODY = _telling(EVERY_ACCOUNT, literal_column("'on'"))
"""In a statement of `seen` that sees every account: `ANYBODY.c.told` is 'on'."""


def seen(rows: Any, *, by: CTE = WHOSE) -> Select:
    """Write a statement that says itself whose rows it sees, and needs no transaction to say it in.

    `rows` is a SELECT, or several together, that compare `by.c.told` in the WHERE of each: with a value from `by` they
    cannot be begun before it is there, and by then the setting is made. OFFSET keeps them apart, as one that PostgreSQL
    could merge with the rest it might begin elsewhere. Rows that were read too early would be none, never others.
    """
    its = rows.offset(literal_column("0")).lateral("its")
    return select(its).select_from(by.join(its, true()))


def guard(table: str) -> list[str]:
    """Write the statements that guard a table with a column `account_id`."""
    # Each SELECT is done once for a statement; without it the setting would be looked up for every row.
    account, every = (f"(SELECT current_setting('{name}', true))" for name in (ACCOUNT, EVERY_ACCOUNT))
    # As an OR it would be taken for a filter that hardly any row passes, and a page of responses that can be read in
    # order would now and then be sorted out of all of them. A CASE is taken for one that half of all rows pass.
    rows = f"CASE WHEN account_id = {account} THEN true ELSE {every} = 'on' END"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY of_its_account ON {table} USING ({rows})",
    ]
