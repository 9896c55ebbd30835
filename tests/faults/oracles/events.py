"""O2: what committed is in Kafka's log. O4: in the order in which it committed."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from tests.faults.evidence import Evidence
from tests.faults.oracles.violation import Violation, violation


def each_event_in_the_log(evidence: Evidence) -> list[Violation]:
    """O2. Each event that a service's transaction said is in the log at least once, as it was said; none waits."""
    logged = {(entry.event_id, entry.topic, entry.key, entry.digest) for entry in evidence.log}
    found = []
    for service, said in evidence.said.items():
        missing = [row for row in said if (str(row["event_id"]), row["topic"], row["key"], row["digest"]) not in logged]
        about = (f"{row['topic']} {row['key']} {row['event_id']}" for row in missing)
        found += violation("O2", f"{service} committed what is not in the log", about)
        waiting = evidence.outbox[service]
        found += violation("O2", f"{service} still has events in its outbox", [waiting] if waiting else [])
    committed = {str(row["event_id"]) for said in evidence.said.values() for row in said}
    ghosts = (e.event_id for e in evidence.log if e.source.startswith("closeloop/") and e.event_id not in committed)
    return found + violation("O2", "the log has what no transaction committed", ghosts)


def each_key_in_order(evidence: Evidence) -> list[Violation]:
    """O4. Events of one key on one topic first appear in the order of their commits, or of the ticket's versions.

    A repeat behind them is none the less in order: whoever reads drops it by its id.
    """
    committed = {str(row["event_id"]): row["id"] for said in evidence.said.values() for row in said}
    order: dict[tuple[str, str], list[int]] = defaultdict(list)
    for topic in {entry.topic for entry in evidence.log}:
        for entry in evidence.of_topic(topic):
            if entry.source.startswith("closeloop/"):
                order[topic, entry.key].append(committed.get(entry.event_id, 0))
            elif entry.facts and "ticket" in entry.facts:
                order[topic, entry.key].append(entry.facts["ticket"]["version"])
    inverted = (
        f"{topic} {key}: {earlier} before {later}"
        for (topic, key), numbers in order.items()
        for earlier, later in pairwise(numbers)
        if earlier > later
    )
    return [
        *violation("O4", "a key's events are in the log in another order", inverted),
        *violation("O4", "the portal does not show a ticket's newest version", _outdated(evidence)),
    ]


def _outdated(evidence: Evidence) -> Iterable[str]:
    buried = {(dead.topic, dead.partition, dead.offset) for dead in evidence.dead if dead.service == "portal"}
    newest: dict[tuple[str, str], int] = {}
    for topic in ("ticket.created", "ticket.updated", "ticket.resolved", "reply.sent"):
        for entry in evidence.of_topic(topic):
            if entry.facts and (entry.topic, entry.partition, entry.offset) not in buried:
                ticket = entry.facts["ticket"]
                key = entry.account_id, ticket["ticket_id"]
                newest[key] = max(newest.get(key, 0), ticket["version"])
    shown = {(row["account_id"], row["ticket_id"]): row["version"] for row in evidence.tickets}
    return (
        f"{'/'.join(key)} at {shown.get(key)}, not {version}"
        for key, version in newest.items()
        if shown.get(key) != version
    )
