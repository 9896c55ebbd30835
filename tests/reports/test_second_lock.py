"""Row-level security: what PostgreSQL shows of one account to who asks for another, when a query forgets its WHERE.

No policy binds a superuser; on stage the service connects as it is deployed, as a role that owns its database and no
more. tests/attacks/test_second_lock.py has what holds for each service.
"""

from dataclasses import replace
from datetime import date

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from services.reports import queries, verification
from services.reports.asked import Asked, Search, Tenant
from services.reports.days import Days
from services.reports.shadow import Shadow
from services.reports.tables import Account, ApiKey, CsatCell, CsatDaily, CsatKind, Erasure, Rating, SkippedSurvey
from shared.chassis.database import prepared_pool
from shared.chassis.prepared import Prepared
from shared.chassis.tenancy import ANYBODY, WHOSE, guard, seen, session_of
from tests.builders import ADA, an_account
from tests.reports.told import a_key, answered, ask, skipped, told
from tests.stage import Stage

GUARDED = (Account, ApiKey, CsatCell, CsatDaily, CsatKind, Erasure, Rating, SkippedSurvey)


@pytest_asyncio.fixture
async def locked(reports: Stage) -> Stage:
    """With two accounts that know of a survey each."""
    for account_id, score in (("acme", 5), ("evil", 1)):
        await reports.hears(
            an_account(account_id=account_id),
            answered(f"s-{account_id}", score, account_id=account_id, comment=f"words of {account_id}"),
            skipped(account_id=account_id),
        )
    return reports


async def counts(stage: Stage, account_id: str | None) -> dict[str, int]:
    """How many rows of each guarded table a page's transaction sees, without any WHERE."""
    sessions = stage.service.page_sessions
    async with session_of(account_id, sessions) if account_id is not None else sessions() as session:
        return {
            table.__tablename__: await session.scalar(select(func.count()).select_from(table)) or 0 for table in GUARDED
        }


async def test_a_query_that_forgets_its_account_sees_one_accounts_rows(locked: Stage) -> None:
    """Broken object level authorization: the second lock holds when the first is forgotten."""
    await a_key(locked, "acme")
    await a_key(locked, "evil")
    one = {
        "accounts": 1,
        "api_keys": 1,
        "csat_cells": 1,
        "csat_kinds": 1,
        "csat_daily": 1,
        "erasures": 0,
        "ratings": 1,
        "skipped_surveys": 1,
    }

    assert await counts(locked, "acme") == await counts(locked, "evil") == one
    async with session_of("evil", locked.service.page_sessions) as session:
        assert list(await session.scalars(select(Rating.comment))) == ["words of evil"]


@pytest.mark.parametrize("account_id", [None, "", "*", "nobody", "acme' OR '1'='1", "on", "%", "acm_"])
async def test_who_says_nothing_or_something_else_sees_nothing(locked: Stage, account_id: str | None) -> None:
    """Fail open: no account is all accounts."""
    assert set((await counts(locked, account_id)).values()) == {0}


async def test_nobody_writes_into_another_account(locked: Stage) -> None:
    """Cross-tenant writes: what is not seen is neither changed nor deleted, and nothing can be put there."""
    async with session_of("evil", locked.service.page_sessions) as session:
        await session.execute(update(Rating).values(comment="evil was here"))
        await session.execute(delete(SkippedSurvey))
        await session.commit()
        with pytest.raises(DBAPIError, match="row-level security"):
            await session.execute(
                insert(SkippedSurvey).values(
                    account_id="acme",
                    ticket_id="x",
                    resolved_version=1,
                    reason="disabled",
                    skipped_at=locked.clock(),
                    skipped_day=locked.clock().date(),
                )
            )

    assert (await locked.row(Rating, account_id="acme")).comment == "words of acme"
    assert [row.account_id for row in await locked.rows(SkippedSurvey)] == ["acme"]


async def test_what_one_transaction_said_does_not_hold_for_the_next(locked: Stage) -> None:
    """Connections go round: neither an account nor all of them stay behind on one."""
    for _ in range(20):
        async with session_of("acme", locked.service.page_sessions) as session:
            assert await session.scalar(select(func.count()).select_from(Rating)) == 1
        async with locked.service.sessions() as session:
            assert await session.scalar(select(func.count()).select_from(Rating)) == 2
        assert set((await counts(locked, None)).values()) == {0}


async def test_a_statement_that_says_itself_whose_rows_it_sees_sees_no_others(locked: Stage) -> None:
    """It has no transaction before or after it: neither its own WHERE nor what is left on its connection opens more."""
    pool = locked.service.pool
    forgetful = Prepared(seen(select(Rating.comment).where(WHOSE.c.told != "")))
    too_early = Prepared(select(Rating.comment))
    whole = Prepared(seen(select(Rating.comment).where(ANYBODY.c.told == "on"), by=ANYBODY))

    for account_id in ("acme", "evil") * 10:
        rows = await forgetful.rows(pool, {"account_id": account_id})
        assert [row.comment for row in rows] == [f"words of {account_id}"]
        assert await too_early.rows(pool, {}) == []
        assert len(await whole.rows(pool, {})) == 2
        assert await too_early.rows(pool, {}) == []


async def test_no_statement_is_begun_before_it_has_said_whose_rows_it_sees(locked: Stage) -> None:
    """It would see nothing, whichever way PostgreSQL goes about it."""
    for ways in ("enable_indexscan, enable_bitmapscan, enable_indexonlyscan", "enable_nestloop", "enable_seqscan"):
        pool = prepared_pool(locked.service.settings.database_url, service="reports", size=1)
        try:
            for way in (*ways.split(", "), "plan_cache_mode"):
                value = "force_generic_plan" if way == "plan_cache_mode" else "off"
                await pool.fetch(f"SET {way} = {value}")
            asked = Asked(Tenant("acme", "Acme", "#000000", "UTC"), Days(date(2026, 3, 1), date(2026, 4, 1)))
            for shaped in (asked, replace(asked, priorities=("normal",)), replace(asked, attribution="assignee")):
                now, before = await queries.totals(shaped, pool)
                assert (now.score_5, before.score_5) == (1, 0)
                assert len(await queries.parts("channel", shaped, pool)) == 1
                assert len(await queries.scores_by_day(shaped, pool)) == 1
                (agent,) = await queries.scores_by_agent(shaped, pool)
                assert (agent.name, agent.score_5) == (ADA.name, 1)
                assert len(await queries.responses(shaped, pool, 9, search=Search(text="words"))) == 1
            assert await queries.response(asked, pool, "s-acme")
            assert await queries.has_surveys("acme", pool)
        finally:
            await pool.close()


async def test_pages_and_api_work_behind_it(locked: Stage) -> None:
    """Each key sees its account as before, and signs in to it."""
    for account_id, average in (("acme", 5.0), ("evil", 1.0)):
        key = await a_key(locked, account_id)
        assert (await told(locked, "/summary", key=key))["satisfaction"]["average"] == average
        (response,) = (await told(locked, "/responses", key=key))["responses"]
        assert response["comment"] == f"words of {account_id}"
        signed_in = await locked.client.post("/session", data={"key": key})
        assert signed_in.status_code == 303
        page = await locked.client.get("/csat", headers={"Cookie": f"closeloop_reports={key}"})
        assert f"words of {account_id}" in page.text


async def test_a_wrong_parameter_keeps_no_connection(locked: Stage) -> None:
    """Pool exhaustion: a request that is refused before it asks anything has taken none."""
    key = await a_key(locked)

    for _ in range(30):
        assert (await ask(locked, "/summary", key=key, nonsense="1")).status_code == 400

    assert locked.service.pool.lent == 0


async def test_operators_see_every_account(locked: Stage) -> None:
    """`verify` compares all of them; a rebuild's tables are guarded like those they replace."""
    async with verification.snapshot(locked.service.engine) as connection:
        assert await verification.accounts(connection) == ["acme", "evil"]
    url = locked.service.settings.database_url
    async with locked.service.engine.connect() as live:
        shadow = await Shadow.beside(live, url)
        await live.rollback()
        await shadow.prepare(restart=True)
        async with shadow.engine.connect() as connection:
            guarded = await connection.scalars(
                text(
                    "SELECT relname FROM pg_class WHERE relforcerowsecurity"
                    " AND relnamespace = 'shadow'::regnamespace ORDER BY 1"
                )
            )
            assert guarded.all() == ["csat_cells", "csat_daily", "csat_kinds", "erasures", "ratings", "skipped_surveys"]
        await shadow.engine.dispose()
    async with locked.service.engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA shadow CASCADE"))


async def test_a_plain_connection_of_the_services_role_sees_nothing(locked: Stage) -> None:
    """An injected statement on a connection that said nothing reads no tenant."""
    connection = await asyncpg.connect(locked.service.settings.database_url.replace("+asyncpg", ""))
    try:
        assert await connection.fetchval("SELECT count(*) FROM ratings") == 0
    finally:
        await connection.close()


async def test_whose_rows_are_shown_is_looked_up_once_for_a_statement(locked: Stage) -> None:
    """Migrated tables and those that a rebuild makes are guarded alike, and a year of figures costs no more for it."""
    policies = text("SELECT pg_get_expr(polqual, polrelid) FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid")
    async with locked.service.sessions() as session:
        migrated = set(await session.scalars(policies))
        await session.execute(text("CREATE TABLE made (account_id text)"))
        for statement in guard("made"):
            await session.execute(text(statement))

        assert set(await session.scalars(policies)) == migrated
        assert len(migrated) == 1
        (plan,) = (await session.execute(text("EXPLAIN (FORMAT JSON) SELECT FROM made"))).one()
        assert "InitPlan 1" in str(plan)


async def test_the_planner_does_not_take_a_policy_for_a_filter_that_hardly_any_row_passes(locked: Stage) -> None:
    """It would sort all responses of a range for a page of them that it can read in order."""
    async with locked.service.sessions() as session:
        await session.execute(text("CREATE TABLE made (account_id text)"))
        for statement in guard("made"):
            await session.execute(text(statement))
        await session.execute(text("INSERT INTO made SELECT 'account ' || n FROM generate_series(1, 1000) AS n"))
        await session.execute(text("ANALYZE made"))

        ((plan,),) = await session.scalars(text("EXPLAIN (FORMAT JSON) SELECT FROM made"))

        assert plan["Plan"]["Plan Rows"] == 500
