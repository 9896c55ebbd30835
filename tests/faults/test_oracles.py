"""Each oracle finds what is planted for it in the real databases, log and mailbox: so their silence means something."""

import copy
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.faults.evidence import Evidence
from tests.faults.gauges import come_to_rest
from tests.faults.oracles import judge
from tests.faults.oracles.events import each_key_in_order
from tests.faults.run import Result, Run
from tests.faults.visits import Visit

pytestmark = pytest.mark.timeout(300)

Plant = Callable[[Run, Evidence], Awaitable[None]]


def sql(service: str, statement: str) -> Plant:
    """Change something in a service's database, in the first account of the row; it must be there to be changed."""

    async def plant(run: Run, evidence: Evidence) -> None:
        async with run.system.admin(service) as database:
            done = await database.execute(statement, *(evidence.account_ids[0:1] if "$1" in statement else []))
        assert done.split()[-1] != "0", f"nothing to change: {statement}"

    return plant


async def drop_from_outbox(run: Run, evidence: Evidence) -> None:
    """Something was said and nobody published it."""
    async with run.system.admin("portal") as portal, portal.transaction():
        said = "INSERT INTO outbox (topic, key, payload) VALUES ('reply.received', $1, '{}')"
        await portal.execute(said, f"{evidence.account_ids[0]}/lost")
        await portal.execute("DELETE FROM outbox")


async def send_again_under_another_id(run: Run, evidence: Evidence) -> None:
    """Two emails, one event, one person."""
    mailbox = run.system.mailbox
    again = copy.deepcopy(mailbox.letters[-1])
    again.replace_header("Message-ID", "<another@closeloop.example>")
    mailbox.letters.append(again)
    mailbox.envelopes.append(mailbox.envelopes[-1])


async def send_again(run: Run, evidence: Evidence) -> None:
    """The same email, though no notifier was killed."""
    mailbox = run.system.mailbox
    mailbox.letters.append(mailbox.letters[-2])
    mailbox.envelopes.append(mailbox.envelopes[-2])


PLANTED: list[tuple[str, str, Plant]] = [
    (
        "O1 O5",
        "a rating is deleted",
        sql(
            "reports",
            "DELETE FROM ratings WHERE (account_id, survey_id) IN"
            " (SELECT account_id, survey_id FROM ratings WHERE comment LIKE 'op:%' LIMIT 1)",
        ),
    ),
    (
        "O1 O3",
        "a message is doubled",
        sql(
            "portal",
            "INSERT INTO messages (account_id, ticket_id, kind, message_id, author_name, body, sent_at)"
            " SELECT account_id, ticket_id, kind, message_id || '-again', author_name, body, sent_at"
            " FROM messages WHERE kind = 'agent' AND account_id = $1 LIMIT 1",
        ),
    ),
    (
        "O1",
        "a resolution has no survey",
        sql("surveys", "DELETE FROM surveys WHERE survey_id = (SELECT min(survey_id::text)::uuid FROM surveys)"),
    ),
    ("O2", "an event is dropped from the outbox", drop_from_outbox),
    ("O3", "an event was not taken", sql("portal", "DELETE FROM inbox WHERE topic = 'ticket.resolved'")),
    (
        "O3",
        "an event was taken that nobody published",
        sql(
            "surveys",
            "INSERT INTO inbox (topic, source, event_id, digest) VALUES ('ticket.resolved', 'nowhere', 'no', '')",
        ),
    ),
    ("O4", "a ticket is older than its newest version", sql("portal", "UPDATE tickets SET version = version - 1")),
    (
        "O5",
        "a score is another",
        sql("reports", "UPDATE ratings SET score = 6 - score WHERE score <> 3 AND score IS NOT NULL"),
    ),
    ("O6", "a second email about the same", send_again_under_another_id),
    ("O6", "a repeat that nothing excuses", send_again),
    ("O6", "an email that was never sent", sql("notifier", "UPDATE emails SET state = 'queued', sent_at = NULL")),
    (
        "O7",
        "a dead letter",
        sql(
            "reports",
            'INSERT INTO dead_letters (topic, "partition", "offset", timestamp, headers, reason, attempts)'
            " VALUES ('survey.created', 0, 0, 0, '[]', 'planted', 1)",
        ),
    ),
]


@pytest.mark.parametrize(("oracles", "plant"), [pytest.param(o, plant, id=name) for o, name, plant in PLANTED])
async def test_what_is_planted_is_found(run: Run, undisturbed: Result, oracles: str, plant: Plant) -> None:
    """Each in the store where it could really happen."""
    assert undisturbed.look
    before = await undisturbed.look()
    known = {str(violation) for violation in judge(before)}

    await plant(run, before)

    found = {violation.oracle for violation in judge(await undisturbed.look()) if str(violation) not in known}
    assert set(oracles.split()) <= found


async def test_an_inverted_key_is_found(undisturbed: Result) -> None:
    """O4, in the log."""
    assert undisturbed.look
    evidence = await undisturbed.look()
    first = next(entry for entry in evidence.log if entry.topic == "ticket.created")
    assert first.facts
    ticket = {"ticket_id": "planted", "version": 1}
    earlier = replace(first, key="planted", event_id="earlier", facts={"ticket": ticket})
    later = replace(earlier, event_id="later", facts={"ticket": ticket | {"version": 2}})

    evidence.log += [earlier, later]
    in_order = set(each_key_in_order(evidence))
    evidence.log[-2:] = [later, earlier]

    assert set(each_key_in_order(evidence)) - in_order


@pytest.mark.parametrize(
    ("status", "error", "retry_after"),
    [(500, "", False), (503, "", False), (503, "", True), (None, "ReadError", False)],
)
async def test_a_page_that_fails_without_an_excuse_is_found(
    undisturbed: Result, status: int | None, error: str, *, retry_after: bool
) -> None:
    """O8."""
    assert undisturbed.look
    evidence = await undisturbed.look()
    evidence.visits = [Visit("portal", "GET", "/t/{token}", status, error, retry_after, time.time(), time.time())]

    assert "O8" in {violation.oracle for violation in judge(evidence)}


async def test_what_does_not_come_to_rest_is_found(run: Run, undisturbed: Result) -> None:
    """O9: an event that the broker refuses stays in its outbox."""
    async with run.system.admin("surveys") as surveys:
        await surveys.execute("INSERT INTO outbox (topic, key, payload) VALUES ('no.such.topic', 'planted/t', '{}')")
        _, left = await come_to_rest(run.system, run.log, 3)
        await surveys.execute("DELETE FROM outbox WHERE topic = 'no.such.topic'")

    assert left == "1 events in the outbox of surveys"
