"""The protocols, in which the checker must find nothing, and mistakes one could make in them, which it must find."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

from tests.model.checker import Outcome, explore
from tests.model.consuming import Consuming
from tests.model.publishing import Publishing
from tests.model.waiting import Waiting

FAULTS = 3
"""Of any kinds in one run."""

Model = Publishing | Consuming | Waiting

PROTOCOLS: dict[str, Model] = {
    "from a transaction to the log": Publishing(),
    "from the log to an effect": Consuming(),
    "records that wait for their account": Waiting(),
}

MISTAKES: dict[str, Model] = {
    "an event is sent from within its transaction, not written": Publishing(writes_a_row=False),
    "`emit` without a lock on the row the event is about": Publishing(locks_the_aggregate=False),
    "two relays without the advisory lock": Publishing(one_relay_leads=False),
    "two relays that share the rows, `SKIP LOCKED`": Publishing(one_relay_leads=False, shares_no_rows=False),
    "the relay polls `id > last` and deletes nothing": Publishing(deletes_rows=False),
    "the relay deletes before the broker has it": Publishing(deletes_after_sending=False),
    "the relay deletes what the broker refused": Publishing(deletes_only_what_was_sent=False),
    "the relay sends what follows a refused row": Publishing(holds_back_what_follows_a_refusal=False),
    "no inbox": Consuming(has_an_inbox=False),
    "the inbox is looked at, not inserted into": Consuming(inserts_instead_of_looking=False),
    "the inbox commits before the effects": Consuming(inbox_commits_with_effects=False),
    "acknowledged before the commit, `ACK_FIRST`": Consuming(acknowledges_after_the_commit=False),
    "acknowledged though the handler failed, `ACK`": Consuming(acknowledges_only_what_it_took=False),
    "after a failure neither acknowledged nor rewound, `MANUAL` alone": Consuming(rewinds=False),
    "FastStream's nack, which stops at a partition that moved": Consuming(rewinds_every_partition=False),
    "a record that keeps failing is tried for ever, `NACK_ON_ERROR`": Consuming(gives_up=False),
    "a record that keeps failing is skipped": Consuming(buries_what_it_gives_up=False),
    "buried after the acknowledgement": Consuming(buries_before_the_acknowledgement=False),
    "buried once for each delivery": Consuming(buries_once=False),
    "buried together with its inbox row": Consuming(buries_without_an_inbox_row=False),
    "an outage taken for a bad record": Consuming(waits_out_an_outage=False),
    "a record is parked without holding its account's key": Waiting(holds_the_key=False),
    "a record is parked without another look": Waiting(looks_again_before_it_waits=False),
}


class Found(NamedTuple):
    """What a mistake leads to: with as few faults as can be, then in as few steps."""

    faults: int
    outcome: Outcome


@cache
def look_for_mistakes(protocol: str, faults: int = FAULTS) -> Outcome:
    """Look at every state of a protocol."""
    return explore(replace(PROTOCOLS[protocol], faults=faults))


@cache
def what_comes_of(mistake: str) -> Found:
    """Look for the shortest way in which a mistake goes wrong. Raises LookupError when it never does."""
    for faults in range(FAULTS + 1):
        outcome = explore(replace(MISTAKES[mistake], faults=faults))
        if outcome.counterexample:
            return Found(faults, outcome)
    raise LookupError(f"nothing comes of it: {mistake}")
