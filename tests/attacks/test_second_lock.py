"""Row-level security: what PostgreSQL shows of one account to who asks for another when a query forgets its WHERE (S7).

It binds no superuser: on stage each service connects as it is deployed. More of reports' lock is in tests/reports.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError

from services.notifier import tables as of_notifier
from services.portal import queries
from services.portal import tables as of_portal
from services.portal.link import AccessLink
from services.portal.ticket import Message
from services.reports import tables as of_reports
from services.surveys import tables as of_surveys
from shared.chassis.tenancy import SEE_EVERY_ACCOUNT, guard, session_of
from shared.contracts import Requester, RequesterErased
from tests.attacks.visits import OPERATORS, VISITS, Visit, named
from tests.builders import NOON, a_reply_sent, a_ticket, a_ticket_reopened, a_ticket_resolved, an_account
from tests.notifier.builders import a_reply_published
from tests.portal.files import an_attachment
from tests.stage import Stage

TABLES = {
    name: sorted(table for table, columns in module.Table.metadata.tables.items() if "account_id" in columns.columns)
    for name, module in (
        ("portal", of_portal),
        ("surveys", of_surveys),
        ("notifier", of_notifier),
        ("reports", of_reports),
    )
}
ACCOUNTS = ("acme", "evil")
NOBODY = Requester(requester_id="jonas", name="Jonas")


async def two_accounts_in_portal(portal: Stage) -> None:
    """Fill every table with rows of both."""
    for account_id in ACCOUNTS:
        own = {"account_id": account_id}
        body = f"words of {account_id}"
        await portal.hears(
            an_account(**own),
            a_reply_sent(**own, body=body, attachments=(an_attachment(),)),
            RequesterErased(**own, requester_id="jonas", request_id="e-1", erased_at=NOON),
        )
        async with portal.service.sessions.begin() as session:
            await portal.service.provided["quarantine"].keep("honeypot", {}, session, NOON, **own, about="T-1")
            key = {"key_id": account_id, "name": "a test", "digest": b"", "created_at": NOON}
            session.add(of_portal.ApiKey(**own, **key))


async def two_accounts_in_surveys(surveys: Stage) -> None:
    """Fill every table with rows of both."""
    for account_id in ACCOUNTS:
        own = {"account_id": account_id}
        unreachable = a_ticket(ticket_id="T-3", version=3, status="resolved", requester=NOBODY)
        await surveys.hears(
            an_account(**own),
            a_ticket_resolved(**own),
            a_ticket_resolved(**own, ticket=unreachable),
            a_ticket_reopened(**own, ticket=a_ticket(ticket_id="T-2", version=3)),
            a_reply_sent(**own),
            RequesterErased(**own, requester_id="somebody", request_id="e-1", erased_at=NOON),
        )
        async with surveys.service.sessions.begin() as session:
            await surveys.service.provided["quarantine"].keep("honeypot", {}, session, NOON, **own, about="s-1")
            session.add(of_surveys.OptOut(**own, requester_id="jonas", opted_out_at=NOON))


async def two_accounts_in_notifier(notifier: Stage) -> None:
    """Fill every table with rows of both."""
    for account_id in ACCOUNTS:
        own = {"account_id": account_id}
        await notifier.hears(
            an_account(**own),
            a_reply_published(**own),
            RequesterErased(**own, requester_id="jonas", request_id="e-1", erased_at=NOON),
        )
        async with notifier.service.sessions.begin() as session:
            session.add(of_notifier.Suppression(**own, address="x@y.example", code="5.1.1", suppressed_at=NOON))


@contextmanager
def said_across_accounts(stage: Stage) -> Iterator[list[str]]:
    """Note the statements of transactions that see every account."""
    engine, said, seeing_all = stage.service.engine.sync_engine, [], set()

    def begun(connection: Connection) -> None:
        seeing_all.discard(connection.connection.dbapi_connection)

    def asked(connection: Connection, _: object, statement: str, *__: object) -> None:
        if statement == SEE_EVERY_ACCOUNT.text:
            seeing_all.add(connection.connection.dbapi_connection)
        elif connection.connection.dbapi_connection in seeing_all:
            said.append(statement)

    event.listen(engine, "begin", begun)
    event.listen(engine, "before_cursor_execute", asked)
    try:
        yield said
    finally:
        event.remove(engine, "begin", begun)
        event.remove(engine, "before_cursor_execute", asked)


@pytest_asyncio.fixture(params=["portal", "surveys", "notifier"])
async def full(request: pytest.FixtureRequest, every_stage: dict[str, Stage]) -> tuple[str, Stage]:
    """A service with rows of two accounts in each of its tables that has an account."""
    stage = every_stage[request.param]
    await {
        "portal": two_accounts_in_portal,
        "surveys": two_accounts_in_surveys,
        "notifier": two_accounts_in_notifier,
    }[request.param](stage)
    return request.param, stage


@pytest.mark.parametrize("service", TABLES)
async def test_every_table_with_an_account_is_guarded(every_stage: dict[str, Stage], service: str) -> None:
    """A new table with tenants' rows is no hole: it fails this until a migration guards it."""
    async with every_stage[service].service.sessions() as session:
        guarded = await session.scalars(
            text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity ORDER BY relname")
        )
        assert guarded.all() == TABLES[service]
        assert await session.scalar(text("SELECT NOT (rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = user"))


@pytest.mark.parametrize("service", TABLES)
async def test_every_policy_is_the_same_and_costs_one_look_up_a_statement(
    every_stage: dict[str, Stage], service: str
) -> None:
    """Migrations write it out, since what they did must not change with the code; it is what `guard` writes now."""
    policies = text("SELECT pg_get_expr(polqual, polrelid) FROM pg_policy")
    async with every_stage[service].service.sessions() as session:
        migrated = set(await session.scalars(policies))
        await session.execute(text("CREATE TABLE made (account_id text)"))
        for statement in guard("made"):
            await session.execute(text(statement))
        assert set(await session.scalars(policies)) == migrated
    assert len(migrated) == 1


async def test_a_query_that_forgets_its_account_sees_one_accounts_rows(full: tuple[str, Stage]) -> None:
    """Broken object level authorization: the second lock holds when the first is forgotten."""
    service, stage = full
    for account_id in ACCOUNTS:
        async with session_of(account_id, stage.service.page_sessions) as session:
            for table in TABLES[service]:
                whose = set((await session.scalars(text(f"SELECT account_id FROM {table}"))).all())
                assert whose == {account_id}, table


@pytest.mark.parametrize("account_id", [None, "", "*", "nobody", "acme' OR '1'='1", "on", "%", "acm_"])
async def test_who_says_nothing_or_something_else_sees_nothing(full: tuple[str, Stage], account_id: str | None) -> None:
    """Fail open: no account is all accounts."""
    service, stage = full
    sessions = stage.service.page_sessions
    async with session_of(account_id, sessions) if account_id is not None else sessions() as session:
        for table in TABLES[service]:
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


async def test_nobody_writes_into_another_account(full: tuple[str, Stage]) -> None:
    """Cross-tenant writes: what is not seen is neither changed nor deleted, and nothing can be put there."""
    service, stage = full
    for table in TABLES[service]:
        async with session_of("evil", stage.service.page_sessions) as session:
            changed = await session.scalars(text(f"UPDATE {table} SET account_id = account_id RETURNING account_id"))
            assert set(changed.all()) == {"evil"}, table
            with pytest.raises(DBAPIError, match="row-level security"):
                await session.execute(text(f"UPDATE {table} SET account_id = 'third'"))


async def test_a_plain_connection_of_the_services_role_sees_nothing(full: tuple[str, Stage]) -> None:
    """An injected statement on a connection that said nothing reads no tenant."""
    service, stage = full
    connection = await asyncpg.connect(stage.service.settings.database_url.replace("+asyncpg", ""))
    try:
        for table in TABLES[service]:
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0
    finally:
        await connection.close()


async def test_what_one_transaction_said_does_not_hold_for_the_next(full: tuple[str, Stage]) -> None:
    """Connections go round: neither an account nor all of them stay behind on one."""
    _, stage = full
    sessions, count = stage.service.page_sessions, text("SELECT count(*) FROM accounts")
    for _ in range(20):
        async with session_of("acme", sessions) as session:
            assert await session.scalar(count) == 1
        async with stage.service.sessions() as session:
            assert await session.scalar(count) == 2
        async with sessions() as session:
            assert await session.scalar(count) == 0


async def test_a_page_whose_query_forgets_its_account_shows_its_own_accounts_words(
    portal: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, from the link to the page."""
    await two_accounts_in_portal(portal)
    link = portal.service.provided["links"].url(await portal.row(AccessLink, account_id="evil"))
    monkeypatch.setattr(queries, "conversation_of", lambda _: select(Message))

    page = await portal.client.get(link.removeprefix("https://portal.example"))

    assert "words of evil" in page.text
    assert "words of acme" not in page.text


@pytest.mark.parametrize("visit", [visit for visit in VISITS if visit.costs != OPERATORS], ids=named)
async def test_a_visit_looks_across_accounts_once_at_most(
    stages: dict[str, Stage], pages: dict[str, str], visit: Visit
) -> None:
    """What finds the account of a link, key or logo is one SELECT; all else goes on in a session of that account."""
    stage = stages[visit.service]
    asked = (await visit(stage, pages[visit.service])).request

    with said_across_accounts(stage) as across:
        await stage.client.send(asked)

    assert len(across) <= 1
    assert all(statement.startswith("SELECT") for statement in across)
