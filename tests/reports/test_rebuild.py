"""`rebuild`: the read model made anew from a real Kafka log, while it is read and events come."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from services.reports import verification
from services.reports.app import create_app
from services.reports.handlers import keep_ratings
from services.reports.rollup import become_the_only_writer
from services.reports.tables import CsatDaily, Erasure, Rating, Table
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.lifecycle import Service
from shared.chassis.migrations import drift
from shared.contracts import RequesterErased
from tests.builders import NOON, an_account
from tests.reports.conftest import Operator
from tests.reports.log import (
    Killable,
    Log,
    corrupt,
    everything,
    has,
    has_a_shadow,
    heard,
    made,
    outcome,
    records_read,
    some_history,
    tries_to_swap,
    until,
)
from tests.reports.test_rollup import disagreements, somebody_waits
from tests.reports.told import a_key, answered, skipped
from tests.stage import Stage

PAGES = [f"/api/v1/csat/{report}" for report in ("summary", "distribution", "agents", "trend", "responses")] + ["/csat"]

pytestmark = pytest.mark.timeout(400)  # the first of them also starts brokers


async def test_a_rebuild_makes_of_the_log_what_the_service_made_of_it(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """Rows that were changed, lost or counted wrongly are as they were, in tables with the names they had."""
    history = some_history(40)
    await log.tells(*history)
    await heard(reports, history)
    before = await everything(reports)
    names = await names_of_everything(reports)
    await corrupt(reports)

    rebuilt = await at_the_terminal.types("rebuild")

    assert rebuilt.exit_code == 0, rebuilt.output
    assert "ratings │ 35 │ 40" in " ".join(rebuilt.stdout.split())
    assert await everything(reports) == before
    assert await disagreements(reports) == []
    assert await drift(live.settings.database_url, Table.metadata) == []
    assert await names_of_everything(reports) == names


async def names_of_everything(stage: Stage) -> Sequence[str]:
    """Tables, indexes, constraints and schemas of the database."""
    async with stage.service.sessions() as session:
        return (
            await session.scalars(
                text(
                    "SELECT relkind::text || relnamespace::regnamespace || '.' || relname FROM pg_class"
                    " WHERE relnamespace::regnamespace::text !~ '^pg_|^information' UNION ALL"
                    " SELECT contype::text || connamespace::regnamespace || '.' || conname FROM pg_constraint"
                    " WHERE connamespace::regnamespace::text !~ '^pg_|^information' UNION ALL"
                    " SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_temp|^pg_toast' ORDER BY 1"
                )
            )
        ).all()


async def read_pages(live: Service, key: str, statuses: list[int]) -> None:
    """Read every page again and again until cancelled, and note each status."""
    app = create_app(live)
    app.state["clock"] = lambda: NOON + timedelta(seconds=len(statuses))  # what a key may ask for comes back with time
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers, cookies = {"Authorization": f"Bearer {key}"}, {"closeloop_reports": key}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://testserver", headers=headers, cookies=cookies
    ) as client:
        while True:
            for address in PAGES:
                statuses.append((await client.get(address)).status_code)  # noqa: PERF401 - one after the other


async def test_a_rebuild_that_is_killed_twice_while_events_come_and_pages_are_read_ends_right(
    reports: Stage, live: Service, log: Log
) -> None:
    """Every page is answered throughout, nothing that came meanwhile is missing, and what was wrong is right."""
    history = some_history(300)
    await log.tells(*history)
    await heard(reports, history)
    key = await a_key(reports)
    await corrupt(reports)
    dice = random.Random(7)
    statuses: list[int] = []
    stop = asyncio.Event()

    async def publish_more() -> None:
        for number in range(300, 10_000):
            told = outcome(number, dice)
            history.extend(told)
            await log.tells(*told)
            if stop.is_set():
                return
            await asyncio.sleep(0.05)

    reading = asyncio.create_task(read_pages(live, key, statuses))
    publishing = asyncio.create_task(publish_more())
    rebuild = Killable(live)
    for part in (dice.uniform(0.05, 0.4), dice.uniform(0.5, 0.9)):
        await rebuild.start()
        await until(lambda part=part: reached(reports, part * 450))
        await rebuild.kill()
        assert not reading.done()
    read_when_killed = await records_read(reports)
    await rebuild.start()
    exit_code, output = await rebuild.end()
    read_meanwhile = len(statuses)
    stop.set()
    await publishing
    reading.cancel()

    assert exit_code == 0, output
    assert read_when_killed > 0
    assert read_meanwhile > len(PAGES)
    assert set(statuses) == {200}
    await heard(reports, history)
    assert await reports.dead_letters() == []
    surveys = {(event.account_id, event.survey.survey_id) for event in history if event.topic == "survey.created"}
    answers = {
        (event.account_id, event.survey.survey_id, event.score)
        for event in history
        if event.topic == "survey.submitted"
    }
    rows = await reports.rows(Rating)
    assert {(row.account_id, row.survey_id) for row in rows} == surveys
    assert {(row.account_id, row.survey_id, row.score) for row in rows if row.score} == answers
    assert not [row for row in rows if row.comment == "rubbish"]
    assert await disagreements(reports) == []
    assert await drift(live.settings.database_url, Table.metadata) == []


async def reached(stage: Stage, records: float) -> bool:
    """Whether a rebuild has come so far."""
    return await records_read(stage) >= records


async def test_a_rebuild_killed_at_any_step_goes_on_when_it_is_run_again(
    reports: Stage, live: Service, log: Log
) -> None:
    """Before the first record, and when all is read and somebody's long read holds up the swap."""
    history = some_history(40)
    await log.tells(*history)
    await heard(reports, history)
    before = await everything(reports)
    await corrupt(reports)
    rebuild = Killable(live)

    await rebuild.start()
    await until(lambda: has_a_shadow(reports))
    await rebuild.kill()

    async with reports.service.sessions() as reader:
        await reader.execute(text("SELECT count(*) FROM ratings"))
        await rebuild.start()
        await until(lambda: tries_to_swap(reports))
        await rebuild.kill()
        assert await has_a_shadow(reports)

    await rebuild.start()
    exit_code, output = await rebuild.end()

    assert exit_code == 0, output
    assert await everything(reports) == before
    assert not await has_a_shadow(reports)


async def test_the_swap_waits_for_a_long_read_and_holds_up_nobody_meanwhile(
    reports: Stage, live: Service, log: Log
) -> None:
    """Who verifies, or exports, is not cut off; pages are read and events are taken until the swap has its moment."""
    history = some_history(8)
    await log.tells(*history)
    await heard(reports, history)
    key = await a_key(reports)
    statuses: list[int] = []

    async with made(live) as rebuild:
        await rebuild.fill()
        async with verification.snapshot(reports.service.engine) as reader:
            swapping = asyncio.create_task(rebuild.swap())
            reading = asyncio.create_task(read_pages(live, key, statuses))
            await until(lambda: tries_to_swap(reports))
            read = len(statuses)
            await log.tells(answered("late", 1))
            await heard(reports, [*history, answered("late", 1)])
            await until(lambda: more_than(statuses, read + 2 * len(PAGES)))
            assert not swapping.done()
            assert await verification.differences(reader, "acme") == []
        await swapping
        reading.cancel()

    assert set(statuses) == {200}
    assert await reports.row(Rating, survey_id="late")
    assert await disagreements(reports) == []


async def more_than(statuses: list[int], count: int) -> bool:
    """Whether so many pages were read."""
    return len(statuses) > count


async def test_what_a_consumer_commits_at_the_last_moment_is_in_the_new_tables(
    reports: Stage, idle: Service, log: Log
) -> None:
    """The end of the log is asked for when no consumer can change anything any more, and not before."""
    await log.tells(an_account(), answered("s-1", 5))
    await reports.hears(an_account(), answered("s-1", 5))

    async with made(idle) as rebuild:
        await rebuild.fill()
        async with reports.service.sessions.begin() as consumer:
            await become_the_only_writer(consumer)
            swapping = asyncio.create_task(rebuild.swap())
            await somebody_waits(reports)
            await log.tells(answered("s-2", 4))
            await keep_ratings([answered("s-2", 4)], consumer, NOON)
        await swapping

    assert {row.survey_id for row in await reports.rows(Rating)} == {"s-1", "s-2"}
    assert await disagreements(reports) == []


async def test_a_swap_that_is_given_up_loses_nothing_it_had_begun_to_read(
    reports: Stage, idle: Service, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consumers are held up for so long and no longer; what was read by then and had no effect is read again."""
    monkeypatch.setattr("services.reports.rebuild.STANDSTILL_SECONDS", 1)
    await log.tells(an_account(), answered("s-1", 5))
    await reports.hears(an_account(), answered("s-1", 5))
    given_up = asyncio.Event()

    def watch(what: str, *_: object) -> None:
        if what.startswith("Waiting"):
            given_up.set()

    async with made(idle, watch) as rebuild:
        await rebuild.fill()
        await log.tells(answered("s-2", 4))
        async with reports.service.sessions.begin() as slow:
            await slow.execute(text("LOCK TABLE shadow.ratings IN EXCLUSIVE MODE"))
            swapping = asyncio.create_task(rebuild.swap())
            await asyncio.wait_for(given_up.wait(), 20)
        await swapping

    assert {row.survey_id for row in await reports.rows(Rating)} == {"s-1", "s-2"}


async def test_a_rebuild_that_goes_on_reads_nothing_twice(reports: Stage, idle: Service, log: Log) -> None:
    """Not even when Kafka has deleted meanwhile what was read before."""
    await reports.hears(an_account())
    await log.tells(answered("s-1", 5))
    async with made(idle) as rebuild:
        await rebuild.fill()
    await log.loses("survey.submitted")
    await log.tells(answered("s-2", 4))

    async with made(idle) as rebuild:
        await rebuild.fill()
        await rebuild.swap()

    assert {row.survey_id for row in await reports.rows(Rating)} == {"s-1", "s-2"}


async def test_a_change_of_time_zone_is_applied_to_all_of_history(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """Events move no day; a rebuild counts each in the zone the account has by now."""
    evening = NOON.replace(hour=22)
    history = [an_account(), answered("s-1", 5, at=evening), skipped(skipped_at=evening)]
    await log.tells(*history)
    await heard(reports, history)
    history.append(an_account(version=2, time_zone="Asia/Tokyo"))
    await log.tells(history[-1])
    await heard(reports, history)
    assert {row.day for row in await reports.rows(CsatDaily)} == {NOON.date()}

    rebuilt = await at_the_terminal.types("rebuild")

    assert rebuilt.exit_code == 0, rebuilt.output
    assert {row.day for row in await reports.rows(CsatDaily)} == {NOON.date() + timedelta(days=1)}


async def test_records_whose_account_comes_during_a_rebuild_are_in_it(reports: Stage, live: Service, log: Log) -> None:
    """They wait in the shadow as they do in the service, and both hear of the account from one place."""
    await log.tells(answered("s-1", 5), answered("s-2", 4, account_id="nobody-tells-of"))
    await until(lambda: has(reports, DeadLetter, 2))

    async with made(live) as rebuild:
        await rebuild.fill()
        await log.tells(an_account())
        await until(lambda: has(reports, DeadLetter, 1))
        await rebuild.swap()

    assert (await reports.row(Rating)).survey_id == "s-1"
    assert await disagreements(reports) == []
    assert await reports.dead_letters() == ["waits for nobody-tells-of"]


async def test_events_that_a_publisher_took_back_are_not_rebuilt(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """Nor is the end of the log waited for in vain when it is they that lie there."""
    await log.tells(an_account(), answered("s-1", 5))
    await log.takes_back(answered("s-2", 1))
    await until(lambda: has(reports, Rating, 1))

    rebuilt = await at_the_terminal.types("rebuild")

    assert rebuilt.exit_code == 0, rebuilt.output
    assert (await reports.row(Rating)).survey_id == "s-1"


async def test_a_dry_run_tells_the_differences_and_changes_nothing(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """What it made is kept: the rebuild that follows has little left to do."""
    history = some_history(8)
    await log.tells(*history)
    await heard(reports, history)

    agreed = await at_the_terminal.types("rebuild", "--dry-run")
    await corrupt(reports)
    corrupted = await everything(reports)
    differed = await at_the_terminal.types("rebuild", "--dry-run")

    assert agreed.exit_code == 0, agreed.output
    assert "ratings │ 8 │ 8 │ 0 │ 0" in " ".join(agreed.stdout.split())
    assert differed.exit_code == 1
    assert "skipped_surveys │ 0 │ 1 │ 0 │ 1" in " ".join(differed.stdout.split())
    assert await everything(reports) == corrupted
    assert (await at_the_terminal.types("rebuild")).exit_code == 0
    assert await disagreements(reports) == []


async def test_a_rebuild_brings_nobody_back_who_was_erased(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """The log holds their words still, from before and after the erasure; what is made of it does not."""
    words = [answered(f"s-{number}", 4, comment="words of hers", requester_id="rita") for number in range(3)]
    others = answered("o-1", 3, comment="words of his", requester_id="jonas")
    erased = RequesterErased(account_id="acme", requester_id="rita", request_id="e-1", erased_at=NOON)
    await log.tells(an_account(), *words[:2], others)
    await heard(reports, [an_account(), *words[:2], others])
    await log.tells(erased)
    await heard(reports, [an_account(), *words[:2], others, erased])
    await log.tells(words[2])
    await heard(reports, [an_account(), *words, others, erased])

    rebuilt = await at_the_terminal.types("rebuild")

    assert rebuilt.exit_code == 0, rebuilt.output
    assert sorted((row.score, row.comment) for row in await reports.rows(Rating)) == [
        (3, "words of his"),
        *[(4, "")] * 3,
    ]
    assert await disagreements(reports) == []
    assert [row.request_id for row in await reports.rows(Erasure)] == ["e-1"]
