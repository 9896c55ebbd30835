"""From record to effect: once, in one transaction, and what cannot have its effect is kept."""

import asyncio
import dataclasses
from datetime import timedelta

import pytest
import sqlalchemy
from sqlalchemy import func, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from shared.chassis import consumer, telemetry
from shared.chassis.dead_letters import DeadLetter, TooManyDeadLetters
from shared.chassis.inbox import InboxMessage, forget_old_messages
from shared.chassis.outbox import OutboxMessage
from shared.chassis.settings import Settings
from tests.builders import a_ticket, a_ticket_created, a_ticket_resolved, a_ticket_updated, an_account
from tests.chassis.counting import Heard, batches, failing
from tests.stage import Delivery, Stage, delivery_of

LIMIT = Settings.model_fields["dead_letter_limit"].default


def update(subject: str, ticket_id: str = "T-1") -> Delivery:
    """Make a delivery of an update."""
    return delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject, ticket_id=ticket_id)))


async def test_a_repeat_within_a_batch_and_across_batches_has_one_effect(counting: Stage) -> None:
    """Kafka delivers at least once; an event has its effect once."""
    delivery = update("a")

    await counting.hears(delivery, delivery)
    await counting.hears(delivery)

    assert await counting.count(Heard) == 1
    assert len(await counting.said()) == 1


async def test_each_record_of_a_batch_is_a_sign_of_life(counting: Stage) -> None:
    """A large batch may take longer than what passes for hanging; it is not cut off, to come again just as large."""
    taker = counting.service.consumers.by_topic["ticket.updated"]
    seen: list[float] = []
    handle = taker._handler

    async def look(*arguments: object) -> None:
        seen.append(taker.active_at)
        await handle(*arguments)

    taker._handler = look
    try:
        await counting.hears(update("a"), update("b"), update("c"))
    finally:
        taker._handler = handle

    assert seen[0] < seen[1] < seen[2]


async def test_simultaneous_deliveries_have_one_effect(counting: Stage) -> None:
    """Two replicas may hold the same record for a moment, after a rebalance."""
    delivery = update("a")

    await asyncio.gather(*(counting.hears(delivery) for _ in range(8)))

    assert await counting.count(Heard) == 1


async def test_the_same_id_from_two_sources_is_two_events(counting: Stage) -> None:
    """CloudEvents: source and id together name an event."""
    first = update("a")
    second = dataclasses.replace(
        update("b"),
        headers=[
            (name, b"elsewhere" if name == "ce_source" else dict(first.headers)[name]) for name, _ in first.headers
        ],
    )

    await counting.hears(first, second)

    assert await counting.count(Heard) == 2


async def test_a_handler_that_fails_leaves_nothing_behind_and_succeeds_when_tried_again(counting: Stage) -> None:
    """State, outbox and inbox commit together or not at all."""
    failing["a"] = [ValueError("once"), ValueError("twice")]

    await counting.hears(update("a"))

    assert await counting.count(Heard) == await counting.count(OutboxMessage) == 1
    assert await counting.dead_letters() == []


async def test_one_that_keeps_failing_is_buried_and_costs_only_itself(counting: Stage) -> None:
    """The others of its batch have their effect."""
    failing["bad"] = [ValueError("no")] * 99

    await counting.hears(*(update("bad" if number == 250 else "good", f"T-{number}") for number in range(500)))

    assert await counting.count(Heard) == 499
    assert await counting.dead_letters() == ["ValueError: no"]
    assert (await counting.row(DeadLetter)).attempts == 3


async def test_a_handler_that_a_release_broke_stands_still_at_the_limit_and_loses_nothing(
    counting: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment must not drain a topic into the dead letters; mended, work goes on where it stood."""
    monkeypatch.setattr(consumer, "RETRY_SECONDS", 0)
    batch = [update("bad", f"T-{number:03}") for number in range(LIMIT + 20)]
    failing["bad"] = [ValueError("broken by a release")] * 9 * len(batch)

    for _ in range(2):
        with pytest.raises(TooManyDeadLetters, match="more than 100 dead letters"):
            await counting.hears(*batch)
    assert await counting.count(DeadLetter) == LIMIT
    assert await counting.count(Heard) == 0

    failing.clear()
    await counting.hears(*batch)
    assert await counting.count(DeadLetter) == 0
    assert await counting.count(Heard) == LIMIT + 20


async def test_what_died_yesterday_does_not_count(counting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for something that just broke, not for what gathered over a year."""
    monkeypatch.setattr(consumer, "RETRY_SECONDS", 0)
    failing["bad"] = [ValueError("no")] * 999
    await counting.hears(*(update("bad", f"T-{number:03}") for number in range(LIMIT)))
    async with counting.service.sessions.begin() as session:
        await session.execute(sqlalchemy.update(DeadLetter).values(died_at=func.now() - timedelta(hours=25)))

    await counting.hears(update("bad", "T-new"))

    assert await counting.count(DeadLetter) == LIMIT + 1


async def test_unreadable_records_count_too(counting: Stage) -> None:
    """A release that no longer understands a contract breaks as much as one whose handler fails."""
    batch = [dataclasses.replace(update("x", f"T-{number:03}"), value=b"{") for number in range(LIMIT + 1)]

    with pytest.raises(TooManyDeadLetters):
        await counting.hears(*batch)

    assert await counting.count(DeadLetter) == LIMIT


async def test_a_name_used_twice_for_different_events_is_told(counting: Stage) -> None:
    """A publisher that makes the ticket's id the event's loses all but the first: somebody must see that."""
    contradicted = telemetry.EVENTS_TAKEN.labels("ticket.updated", "contradicted")
    before = contradicted._value.get()
    first, second = (
        delivery_of(a_ticket_updated(ticket=a_ticket(subject=subject)), event_id="ticket-1") for subject in "ab"
    )

    await counting.hears(first, second)
    await counting.hears(second, first)

    assert [row.what for row in await counting.rows(Heard)] == ["a"]
    assert contradicted._value.get() - before == 2


async def test_a_buried_record_has_its_effect_when_replayed_and_only_then(counting: Stage) -> None:
    """A dead letter is whole: what could not be done can be done later."""
    failing["a"] = [ValueError("not yet")] * 4
    await counting.hears(update("a"))
    taking = counting.service.consumers.by_topic["ticket.updated"]
    letter = await counting.row(DeadLetter)

    with pytest.raises(ValueError, match="not yet"):
        async with counting.service.sessions.begin() as session:
            await taking.run_letter(session, letter)
    assert await counting.count(DeadLetter) == 1
    async with counting.service.sessions.begin() as session:
        await taking.run_letter(session, letter)

    assert await counting.count(Heard) == 1
    assert await counting.count(DeadLetter) == 0


def creation(subject: str, account_id: str = "acme") -> Delivery:
    """Make a delivery of a new ticket, which is named as its subject: keys decide the order in a batch."""
    return delivery_of(a_ticket_created(account_id=account_id, ticket=a_ticket(subject=subject, ticket_id=subject)))


async def test_a_handler_of_many_gets_the_news_of_a_batch_in_one_call(counting: Stage) -> None:
    """In order of key, repeats left out, and everything is counted."""
    applied = telemetry.EVENTS_TAKEN.labels("ticket.created", "applied")
    before = applied._value.get()
    first, second, third = creation("a"), creation("b"), creation("c")

    await counting.hears(second, first, first)
    await counting.hears(second, third)
    await counting.hears(first, second)

    assert batches == [["a", "b"], ["c"]]
    assert sorted(row.what for row in await counting.rows(Heard)) == ["a", "b", "c"]
    assert applied._value.get() - before == 3


async def test_one_that_fails_among_many_is_found_by_halves_and_costs_only_itself(counting: Stage) -> None:
    """A batch of 500 is not taken record by record for one that is bad."""
    failing["250"] = [ValueError("no")] * 99

    await counting.hears(*(creation(f"{number:03}") for number in range(500)))

    assert await counting.count(Heard) == 499
    assert await counting.dead_letters() == ["ValueError: no"]
    assert (await counting.row(DeadLetter)).attempts == 3
    assert len(batches) < 25
    taken = [batch for batch in batches if "250" not in batch]
    assert sorted(subject for batch in taken for subject in batch) == [f"{n:03}" for n in range(500) if n != 250]


async def test_one_that_waits_among_many_waits_alone(counting: Stage) -> None:
    """Until what it waits for comes."""
    await counting.hears(creation("a"), creation("early", "late"), creation("z"))
    assert await counting.dead_letters() == ["waits for late"]
    assert sorted(row.what for row in await counting.rows(Heard)) == ["a", "z"]

    await counting.hears(an_account(account_id="late"))

    assert await counting.dead_letters() == []
    assert batches[-1] == ["early"]
    assert len(await counting.rows(Heard, what="early")) == 1


async def test_an_outage_among_many_is_raised_and_buries_nothing(counting: Stage) -> None:
    """Neither at first nor when the batch was halved for another's sake."""
    failing["b"] = [ValueError("no")] * 99
    failing["d"] = [TimeoutError()]
    batch = [creation(subject) for subject in "abcd"]

    with pytest.raises(TimeoutError):
        await counting.hears(*batch)
    assert await counting.count(InboxMessage) == await counting.count(Heard)
    await counting.hears(*batch)

    assert sorted(row.what for row in await counting.rows(Heard)) == ["a", "c", "d"]
    assert await counting.dead_letters() == ["ValueError: no"]


async def test_a_batch_larger_than_statements_may_have_parameters_is_taken(counting: Stage) -> None:
    """PostgreSQL takes 32,767 of them: names and repeats go as lists."""
    batch = [creation(f"{number:05}") for number in range(12_000)]

    await counting.hears(creation("dead"), dataclasses.replace(creation("ill"), value=b"{"))
    await counting.hears(*batch)
    await counting.hears(*batch)

    assert [len(each) for each in batches] == [1, 12_000]
    assert len(await counting.dead_letters()) == 1


GOOD = update("good")
HEADERS = dict(GOOD.headers)


def with_header(name: str, value: bytes | None) -> list[tuple[str, bytes | None]]:
    """Replace one header."""
    return [(other, value if other == name else old) for other, old in HEADERS.items()]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"value": b"{not json"}, "the value is not JSON"),
        ({"value": b"\xff\xfe"}, "the value is not JSON"),
        ({"value": b'{"x":' + b"[" * 100_000}, "the value is not JSON"),
        ({"value": None}, "the record has no value"),
        ({"value": b"{}"}, "missing required field `account_id`"),
        ({"value": GOOD.value.replace(b'"subject":"good"', b'"subject":7')}, "Expected `str`, got `int`"),
        ({"value": GOOD.value.replace(b'"status":"open"', b'"status":"asleep"')}, "Invalid enum value"),
        ({"value": GOOD.value.replace(b'"account_id":"acme"', b'"account_id":""')}, "account_id must have"),
        ({"value": GOOD.value.replace(b"00Z", b"00")}, "has no UTC offset"),
        ({"value": GOOD.value.replace(b"2026-03-02", b"0001-01-01")}, "is not between the years"),
        ({"headers": []}, "header ce_specversion is missing"),
        ({"headers": with_header("ce_id", None)}, "header ce_id has no value"),
        ({"headers": with_header("ce_id", b"\xff\xfe")}, "header ce_id is not UTF-8"),
        ({"headers": with_header("ce_id", b"")}, "header ce_id must have"),
        ({"headers": with_header("ce_source", b"a" * 129)}, "header ce_source must have"),
        ({"headers": with_header("ce_type", b"ticket.created")}, "header ce_type is not ticket.updated"),
        ({"headers": with_header("ce_specversion", b"0.3")}, "header ce_specversion is not 1.0"),
    ],
)
async def test_a_record_that_is_no_event_is_buried_and_its_batch_is_not(
    counting: Stage, broken: dict, reason: str
) -> None:
    """Whatever a publisher sends, nothing is skipped silently and nothing else suffers."""
    bad = dataclasses.replace(update("bad"), **broken)

    await counting.hears(update("before"), bad, update("after"))

    (told,) = await counting.dead_letters()
    assert reason in told
    assert sorted(heard.what for heard in await counting.rows(Heard)) == ["after", "before"]
    letter = await counting.row(DeadLetter)
    assert (letter.value, list(letter.headers)) == (bad.value, [tuple(header) for header in bad.headers])


async def test_a_reason_does_not_quote_the_payload(counting: Stage) -> None:
    """Reasons are logged and shown."""
    await counting.hears(
        dataclasses.replace(update("bad"), value=GOOD.value.replace(b'"status":"open"', b'"status":"it\'s a secret"'))
    )

    (told,) = await counting.dead_letters()
    assert "secret" not in told


async def test_a_nul_in_a_text_is_dropped(counting: Stage) -> None:
    """Text from mail programs may hold them, and no database takes them."""
    await counting.hears(update("nu\0l \\u0000"))

    assert (await counting.row(Heard)).what == "nul \\u0000"


async def test_a_missing_table_or_grant_buries_nothing(counting: Stage) -> None:
    """A deployment that forgot to migrate must not empty its topics into the dead letters."""
    async with counting.service.sessions.begin() as session:
        await session.execute(text("ALTER TABLE heard RENAME TO elsewhere"))
    try:
        with pytest.raises(ProgrammingError):
            await counting.hears(update("a"))
        assert await counting.count(DeadLetter) == 0
    finally:
        async with counting.service.sessions.begin() as session:
            await session.execute(text("ALTER TABLE elsewhere RENAME TO heard"))
    await counting.hears(update("a"))
    assert await counting.count(Heard) == 1


async def test_only_what_is_committed_is_counted(counting: Stage) -> None:
    """A batch that is tried again record by record is counted once."""
    applied = telemetry.EVENTS_TAKEN.labels("ticket.updated", "applied")
    before = applied._value.get()
    failing["bad"] = [ValueError("no")] * 99

    await counting.hears(*(update("bad" if number == 5 else "good", f"T-{number}") for number in range(10)))

    assert applied._value.get() - before == 9


async def test_foreign_headers_may_hold_any_bytes(counting: Stage) -> None:
    """Tracing agents and proxies add headers of their own."""
    delivery = update("a")
    delivery.headers = [*delivery.headers, ("x-trace", b"\xff\x00\xfe"), ("x-none", None)]

    await counting.hears(delivery)

    assert await counting.count(Heard) == 1


async def test_a_record_delivered_again_is_buried_once(counting: Stage) -> None:
    """A crash between commit and acknowledgement brings the batch again."""
    bad = dataclasses.replace(update("bad"), value=b"{")

    await counting.hears(bad)
    await counting.hears(bad)

    assert await counting.count(DeadLetter) == 1


@pytest.mark.parametrize("outage", [OperationalError("", None, Exception()), TimeoutError(), ConnectionError()])
async def test_an_outage_is_raised_and_buries_nothing(counting: Stage, outage: Exception) -> None:
    """A database that is away for an hour must not empty a topic into the dead letters."""
    failing["a"] = [outage]

    with pytest.raises(type(outage)):
        await counting.hears(update("a"))

    assert await counting.count(Heard) == await counting.count(DeadLetter) == await counting.count(InboxMessage) == 0
    await counting.hears(update("a"))
    assert await counting.count(Heard) == 1


async def test_an_outage_in_the_middle_of_going_one_by_one_is_raised_too(counting: Stage) -> None:
    """What had its effect before the outage is a repeat when the batch comes again."""
    batch = [update("a", "T-1"), update("bad", "T-2"), update("cut", "T-3")]
    failing["bad"] = [ValueError("no")] * 99
    failing["cut"] = [TimeoutError()]

    with pytest.raises(TimeoutError):
        await counting.hears(*batch)
    await counting.hears(*batch)

    assert sorted(heard.what for heard in await counting.rows(Heard)) == ["a", "cut"]
    assert len(await counting.dead_letters()) == 1


async def test_an_event_may_come_before_the_one_it_rests_on(counting: Stage) -> None:
    """Topics give no order between each other."""
    await counting.hears(a_ticket_resolved(), a_ticket_resolved())
    assert await counting.dead_letters() == ["waits for acme", "waits for acme"]

    await counting.hears(an_account(account_id="other"))
    assert await counting.count(DeadLetter) == 2

    await counting.hears(an_account())
    assert await counting.count(DeadLetter) == 0
    assert len(await counting.rows(Heard, topic="ticket.resolved")) == 2


async def test_waiting_and_what_is_waited_for_may_come_at_the_same_moment(counting: Stage) -> None:
    """Whoever is first, no record stays behind."""
    for number in range(20):
        await asyncio.gather(
            counting.hears(a_ticket_resolved(account_id=f"account-{number}")),
            counting.hears(an_account(account_id=f"account-{number}")),
        )

    assert await counting.dead_letters() == []
    assert len(await counting.rows(Heard, topic="ticket.resolved")) == 20


async def test_repeats_are_recognised_for_thirty_days(counting: Stage) -> None:
    """The inbox does not grow for ever."""
    await counting.hears(update("a"))
    received_at = (await counting.row(InboxMessage)).received_at

    for days, left in ((29, 1), (31, 0)):
        async with counting.service.sessions.begin() as session:
            await forget_old_messages(session, received_at + timedelta(days=days))
        assert await counting.count(InboxMessage) == left


def test_a_handler_that_wants_what_nobody_provides_is_refused_at_start() -> None:
    """A wiring mistake shows when the service starts, not when the first event arrives."""
    from shared.chassis.kafka import Consumers, EventRouter
    from shared.contracts import TicketUpdated

    events = EventRouter()

    @events.on(TicketUpdated)
    async def wants(updated, session, now, *, links) -> None: ...

    with pytest.raises(TypeError, match="wants links"):
        Consumers(events, sessions=None, clock=None)
    with pytest.raises(TypeError, match="has a handler already"):
        events.on(TicketUpdated)(wants)
