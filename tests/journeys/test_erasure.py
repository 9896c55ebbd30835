"""Somebody asks to be forgotten, and all four services say that they did it, over real Kafka."""

import asyncpg

from shared.contracts import RequesterErased
from tests.builders import NOON
from tests.journeys.case import Case, rate, reply
from tests.product import SERVICES, HelpDesk, Product, link_in, until


async def words_left(product: Product, service: str, words: tuple[str, ...]) -> list[str]:
    """What a service's database holds of somebody, the outbox and dead letters included."""
    connection = await asyncpg.connect(product.database_urls[service])
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [str(row) for (table,) in tables for row in await connection.fetch(f'SELECT t::text FROM "{table}" t')]
    finally:
        await connection.close()
    return [word for word in words if any(word in row for row in rows)]


async def test_a_requester_is_forgotten_by_every_service_and_the_figures_stay(
    product: Product, help_desk: HelpDesk
) -> None:
    """Ticket, reply, survey and rating exist; then their words are gone, the links are dead, the score still counts."""
    case = Case()
    # Of this ticket alone: other journeys have their words in the same databases.
    said, rated = (f"{words} {case.account_id}" for words in ("Never again my name", "Fine in the end"))
    words = (case.requester.email or "", said, rated)
    await help_desk.publishes(case.account(), case.created(), case.answered(2, "pending"))
    ticket = link_in(await product.email(words[0], "A new pole is on its way."), "t")
    await reply(product, ticket, said)
    await help_desk.publishes(case.resolved(4))
    survey = link_in(await product.email(words[0], "/s/"), "s")
    await rate(product, survey, 2, rated)
    key = await product.reports_key(case.account_id)

    async def reported() -> bool:
        return (await product.summary(key))["satisfaction"]["responses"] == 1

    await until(reported)
    before = await product.summary(key)
    assert {name for name in SERVICES if await words_left(product, name, words)} == set(SERVICES)

    await help_desk.publishes(
        RequesterErased(
            account_id=case.account_id,
            requester_id=case.requester.requester_id,
            request_id=case.account_id,
            erased_at=NOON,
        )
    )

    receipts = await help_desk.hears("requester.forgotten", case.account_id, 4, quiet_seconds=1)
    assert sorted(receipt["service"] for receipt in receipts) == sorted(SERVICES)
    assert all(sum(receipt["rows"].values()) for receipt in receipts)
    for service in SERVICES:
        assert (service, await words_left(product, service, words)) == (service, [])
        code, output = await product.operate(service, "erasures", "--request", case.account_id)
        assert (code, case.account_id[:20] in output) == (0, True)
    assert (await product.http.get(ticket)).status_code == 404
    assert (await product.http.get(survey)).status_code == 404
    assert await product.summary(key) == before
    code, output = await product.operate("portal", "erasures", "--request", "another")
    assert (code, "Nobody was erased." in output) == (1, True)
