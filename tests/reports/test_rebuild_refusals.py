"""What a rebuild refuses, and what it says then. Everything that is read stays as it is."""

import pytest
from sqlalchemy import text

from deploy.kafka.topics import provision
from services.reports.tables import Rating
from shared.chassis.cluster import Cluster
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.lifecycle import Service
from tests.builders import an_account
from tests.reports.conftest import Operator
from tests.reports.log import Log, everything, has, has_a_shadow, heard, made, some_history, until
from tests.reports.told import answered
from tests.stage import Stage, delivery_of

pytestmark = pytest.mark.timeout(400)  # the first of them also starts brokers


async def test_two_rebuilds_at_once_are_one_too_many(idle: Service, log: Log, at_the_terminal: Operator) -> None:
    """They would fill one shadow and swap it twice."""
    async with made(idle):
        second = await at_the_terminal.types("rebuild")
    third = await at_the_terminal.types("rebuild")

    assert (second.exit_code, third.exit_code) == (1, 0)
    assert "Another rebuild is running." in second.output


async def test_a_log_that_lost_its_beginning_is_refused_unless_it_is_accepted(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """What Kafka deleted cannot be made again; that it is gone for good is somebody's decision."""
    history = [an_account(), answered("s-1", 5), answered("s-2", 5)]
    await log.tells(*history)
    await heard(reports, history)
    await log.loses("survey.submitted")

    refused = await at_the_terminal.types("rebuild")
    accepted = await at_the_terminal.types("rebuild", "--accept-truncated-log")

    assert refused.exit_code == 1
    assert "the log begins at offset 1, so older records would be missing" in refused.output
    assert accepted.exit_code == 0, accepted.output
    assert await reports.count(Rating) < 2


async def test_a_log_that_is_shorter_than_what_was_read_of_it_is_another_log(
    reports: Stage, idle: Service, log: Log, at_the_terminal: Operator
) -> None:
    """Its topics were made anew meanwhile; to go on behind their end would mix the two."""
    await reports.hears(an_account())
    await log.tells(answered("s-1", 5))
    async with made(idle) as rebuild:
        await rebuild.fill()
    await log.forgets("survey.submitted")
    await provision(Cluster(log.bootstrap_servers))

    refused = await at_the_terminal.types("rebuild")
    restarted = await at_the_terminal.types("rebuild", "--restart")

    assert refused.exit_code == 1
    assert "an earlier rebuild read further than the log goes now" in refused.output
    assert restarted.exit_code == 0, restarted.output


async def test_a_record_that_fails_when_its_account_has_come_is_an_ordinary_dead_letter(
    reports: Stage, idle: Service, log: Log, at_the_terminal: Operator
) -> None:
    """It is not tried again and again while consumers wait for the swap."""
    impossible = answered("s-1", 5)
    await log.tells(impossible)
    async with made(idle) as rebuild:
        await rebuild.fill()
    async with reports.service.sessions.begin() as session:
        await session.execute(text("ALTER TABLE shadow.ratings ADD CHECK (false)"))
    await reports.hears(an_account())

    refused = await at_the_terminal.types("rebuild")

    assert refused.exit_code == 1
    assert "CheckViolationError" in refused.stdout or "waits for acme" in refused.stdout


async def test_a_record_that_has_lost_its_effect_stops_a_rebuild(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """What the service keeps among its dead letters is no news. What it does not may be a handler that is broken."""
    poison = delivery_of(answered("s-2", 5))
    poison.value = b"not JSON"
    await log.tells(an_account(), answered("s-1", 5), poison)
    await until(lambda: has(reports, DeadLetter, 1))
    await until(lambda: has(reports, Rating, 1))

    known = await at_the_terminal.types("rebuild")
    async with reports.service.sessions.begin() as session:
        await session.execute(text("DELETE FROM dead_letters"))
    lost = await at_the_terminal.types("rebuild")
    accepted = await at_the_terminal.types("rebuild", "--accept-dead-letters")

    assert known.exit_code == 0, known.output
    assert lost.exit_code == 1
    assert "survey.submitted" in lost.stdout
    assert "the value is not JSON" in lost.stdout
    assert "--accept-dead-letters" in lost.output
    assert accepted.exit_code == 0, accepted.output


async def test_a_rollup_that_disagrees_with_its_ratings_is_not_swapped_in(
    reports: Stage, live: Service, log: Log, at_the_terminal: Operator
) -> None:
    """Whatever the reason: what is read stays as it is."""
    history = some_history(4)
    await log.tells(*history)
    await heard(reports, history)
    before = await everything(reports)
    async with made(live) as rebuild:
        await rebuild.fill()
    async with reports.service.sessions.begin() as session:
        await session.execute(text("UPDATE shadow.csat_daily SET score_1 = 77 WHERE account_id = 'acme'"))

    refused = await at_the_terminal.types("rebuild")
    restarted = await at_the_terminal.types("rebuild", "--restart")

    assert refused.exit_code == 1
    assert "77" in refused.stdout
    assert "nothing was swapped" in refused.output
    assert restarted.exit_code == 0, restarted.output
    assert await everything(reports) == before


async def test_what_another_release_began_is_begun_anew(reports: Stage, live: Service, log: Log) -> None:
    """Its tables may be others."""
    await log.tells(an_account(), answered("s-1", 5))
    async with made(live) as rebuild:
        await rebuild.fill()
    async with reports.service.sessions.begin() as session:
        mark = await session.scalar(text("SELECT obj_description('shadow'::regnamespace, 'pg_namespace')"))
        await session.execute(text(f"COMMENT ON SCHEMA shadow IS '{mark}, reports_0000'"))
        await session.execute(text("ALTER TABLE shadow.ratings DROP COLUMN comment"))

    async with made(live) as rebuild:
        await rebuild.fill()
        await rebuild.swap()

    assert (await reports.row(Rating)).comment == ""


async def test_a_schema_that_no_rebuild_made_is_left_alone(
    reports: Stage, idle: Service, log: Log, at_the_terminal: Operator
) -> None:
    """Somebody else may call something shadow, too."""
    async with reports.service.sessions.begin() as session:
        await session.execute(text("CREATE SCHEMA shadow"))

    refused = await at_the_terminal.types("rebuild", "--restart")

    assert refused.exit_code == 1
    assert "The schema shadow was not made by a rebuild." in refused.output


async def test_somebody_elses_view_of_the_tables_is_named(
    reports: Stage, idle: Service, log: Log, at_the_terminal: Operator
) -> None:
    """To drop it unasked would be rude; the rebuild goes on when it is gone."""
    await log.tells(an_account(), answered("s-1", 5))
    async with reports.service.sessions.begin() as session:
        await session.execute(text("CREATE VIEW wall AS SELECT score FROM ratings"))
    refused = await at_the_terminal.types("rebuild")
    async with reports.service.sessions.begin() as session:
        await session.execute(text("DROP VIEW wall"))

    assert refused.exit_code == 1
    assert "view wall depends on table ratings" in refused.output
    assert (await at_the_terminal.types("rebuild")).exit_code == 0


async def test_without_kafka_a_topic_or_a_migration_a_rebuild_says_what_is_missing(
    reports: Stage, idle: Service, log: Log, at_the_terminal: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leaves everything as it is."""
    async with reports.service.sessions.begin() as session:
        await session.execute(text("DROP INDEX ix_ratings_submitted"))
    unmigrated = await at_the_terminal.types("rebuild")
    async with reports.service.engine.begin() as connection:
        (index,) = [index for index in Rating.__table__.indexes if index.name == "ix_ratings_submitted"]
        await connection.run_sync(index.create)
    await log.forgets("survey.skipped")
    without_topic = await at_the_terminal.types("rebuild")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    without_kafka = await at_the_terminal.types("rebuild")

    assert {unmigrated.exit_code, without_topic.exit_code, without_kafka.exit_code} == {1}
    assert "Run migrate first." in unmigrated.output
    assert "has no topic survey.skipped" in without_topic.output
    assert "Kafka at 127.0.0.1:1 does not answer" in without_kafka.output
    assert not await has_a_shadow(reports)
