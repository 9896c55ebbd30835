"""O1: each operation had its effect once, or not at all. O3: each event had its effect once in each consumer."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tests.faults.evidence import Evidence
from tests.faults.log import GROUPS, Entry
from tests.faults.oracles.violation import Violation, violation


def each_operation_once(evidence: Evidence) -> list[Violation]:
    """O1. ok: one effect; fail: none; unknown: none or one. In every place where an operation leaves something."""
    found = []
    for place, effects in _places(evidence).items():
        for operation in evidence.operations.values():
            if operation.kind not in place[1]:
                continue
            count = effects[operation.id]
            wrong = {"ok": count != 1, "fail": count != 0, "unknown": count > 1}[operation.outcome]
            if wrong:
                text = f"{operation.kind} was {operation.outcome} and has {count} effects in {place[0]}"
                found.append((text, operation.id))
    return [
        one
        for text in dict.fromkeys(text for text, _ in found)
        for one in violation("O1", text, (id_ for other, id_ in found if other == text))
    ]


def _places(evidence: Evidence) -> dict[tuple[str, tuple[str, ...]], Counter[str]]:
    """Count each operation's effects wherever it has some."""
    by_version = {
        (operation.account_id, operation.ticket_id, operation.version): operation.id
        for operation in evidence.operations.values()
        if operation.kind == "resolve"
    }

    def resolved(rows: Iterable[Any], version: Callable[[Any], int]) -> Counter[str]:
        return Counter(by_version.get((row["account_id"], row["ticket_id"], version(row)), "") for row in rows)

    resolutions = [row for row in evidence.messages if row["message_id"].startswith("resolved/")]
    return {
        ("portal.messages of agents", ("answer",)): _marks(evidence.messages, "body", kind="agent"),
        ("portal.messages of requesters", ("create", "reply")): _marks(evidence.messages, "body", kind="requester"),
        ("portal.messages of the system", ("resolve",)): resolved(
            resolutions, lambda row: int(row["message_id"].partition("/")[2])
        ),
        ("surveys", ("resolve",)): resolved(
            [*evidence.surveys, *evidence.skipped_surveys], lambda row: row["resolved_version"]
        ),
        ("surveys.comment", ("rate",)): _marks(evidence.surveys, "comment"),
        ("reports.ratings", ("rate",)): _marks(evidence.ratings, "comment"),
    }


def _marks(rows: Iterable[Any], column: str, **equal: str) -> Counter[str]:
    texts = (row[column] for row in rows if all(row[name] == value for name, value in equal.items()))
    return Counter(text.partition("op:")[2].partition(" ")[0] for text in texts if text)


def each_event_once(evidence: Evidence) -> list[Violation]:
    """O3. What the log holds, the inboxes hold, and what events stand for is there once."""
    return [*_inboxes_and_log(evidence), *_nothing_said_twice(evidence), *_effects_and_log(evidence)]


def _inboxes_and_log(evidence: Evidence) -> Iterable[Violation]:
    for topic, group in GROUPS:
        service = group.partition(".")[0]
        buried = {(dead.topic, dead.partition, dead.offset) for dead in evidence.dead if dead.service == service}
        dead_names = {entry.name for entry in evidence.log if (entry.topic, entry.partition, entry.offset) in buried}
        taken = {(source, event_id) for heard, source, event_id in evidence.inbox[service] if heard == topic}
        said = {entry.name for entry in evidence.of_topic(topic)}
        yield from violation("O3", f"{group} has not taken what is in the log", _names(said - taken - dead_names))
        yield from violation("O3", f"{group} took what is not in the log", _names(taken - evidence.names_in_log))


_NATURAL_KEYS: dict[str, Callable[[dict[str, Any]], Hashable]] = {
    "reply.published": lambda facts: facts["reply_id"],
    "reply.received": lambda facts: facts["reply_id"],
    "ticket.reopened": lambda facts: facts["reply_id"],
    "survey.created": lambda facts: facts["survey"]["survey_id"],
    "survey.invited": lambda facts: facts["survey_id"],
    "survey.reminded": lambda facts: facts["survey_id"],
    "survey.follow_up_requested": lambda facts: facts["follow_up_id"],
    "survey.submitted": lambda facts: facts["survey"]["survey_id"],
    # One that was undeliverable may be withdrawn later, when its ticket is reopened.
    "survey.expired": lambda facts: (facts["survey"]["survey_id"], facts["reason"]),
    "notification.failed": lambda facts: facts["notification_id"],
    "survey.skipped": lambda facts: (facts["ticket"]["ticket_id"], facts["ticket"]["version"]),
}


def _nothing_said_twice(evidence: Evidence) -> Iterable[Violation]:
    """A second application of one event would say what follows from it a second time, under a new id."""
    for topic, natural in _NATURAL_KEYS.items():
        counts = Counter(natural(entry.facts) for entry in evidence.of_topic(topic) if entry.facts)
        yield from violation("O3", f"{topic} says the same under two ids", (key for key, n in counts.items() if n > 1))


def _effects_and_log(evidence: Evidence) -> Iterable[Violation]:
    def facts(topic: str) -> list[dict[str, Any]]:
        return [entry.facts for entry in _not_dead(evidence, topic) if entry.facts]

    def message_ids(kind: str) -> set[str]:
        return {row["message_id"] for row in evidence.messages if row["kind"] == kind}

    surveys = {str(row["survey_id"]) for row in evidence.surveys}
    failed = {str(row["id"]) for row in evidence.emails if row["state"] == "failed"}
    emails = {(row["kind"], row["subject_id"], row["recipient"]) for row in evidence.emails}
    for place, there, due in (
        (
            "portal's agents' messages",
            message_ids("agent"),
            {event["reply_id"] for event in facts("reply.sent")},
        ),
        (
            "portal's requesters' messages",
            message_ids("requester") - {"description"},
            {event["reply_id"] for event in facts("reply.received")},
        ),
        ("surveys", surveys, {event["survey"]["survey_id"] for event in facts("survey.created")}),
        ("reports' ratings", {row["survey_id"] for row in evidence.ratings}, surveys),
        ("notifier's emails", emails, set(_emails_due(facts))),
        ("notifier's failures", failed, {event["notification_id"] for event in facts("notification.failed")}),
    ):
        yield from violation("O3", f"{place} lack what the log says", due - there)
        yield from violation("O3", f"{place} hold what the log does not say", there - due)


def _emails_due(facts: Callable[[str], list[dict[str, Any]]]) -> Iterable[tuple[str, str, str]]:
    for event in facts("reply.published"):
        yield "reply_published", event["reply_id"], event["ticket"]["requester"]["email"]
    for event in facts("survey.invited"):
        yield "survey_invited", event["survey_id"], event["ticket"]["requester"]["email"]
    for event in facts("survey.reminded"):
        yield "survey_reminded", event["survey_id"], event["ticket"]["requester"]["email"]
    for event in facts("survey.submitted"):
        if event["score"] <= 2 and event["survey"]["agent"]:
            yield "survey_submitted", event["survey"]["survey_id"], event["survey"]["agent"]["email"]
    for event in facts("reply.received"):
        if event["ticket"]["assignee"] and not event["reopened"]:
            yield "reply_received", event["reply_id"], event["ticket"]["assignee"]["email"]
    for event in facts("ticket.reopened"):
        for agent in [event["ticket"]["assignee"], *event["ticket"]["watchers"]]:
            if agent:
                yield "ticket_reopened", event["reply_id"], agent["email"]


def _not_dead(evidence: Evidence, topic: str) -> list[Entry]:
    buried = {(dead.topic, dead.partition, dead.offset) for dead in evidence.dead}
    return [entry for entry in evidence.of_topic(topic) if (entry.topic, entry.partition, entry.offset) not in buried]


def _names(names: Iterable[tuple[str, str]]) -> Iterable[str]:
    return ("/".join(name) for name in names)
