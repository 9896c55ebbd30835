"""O7: dead letters are the poison that was injected. O8: pages that do not need the broken part serve."""

from collections.abc import Iterable

from tests.faults.evidence import Evidence
from tests.faults.oracles.violation import Violation, violation
from tests.faults.visits import Visit

GRACE_SECONDS = 2.0
"""How long before and after an absence its effects may be met: a request takes time."""


def only_poison_is_dead(evidence: Evidence) -> list[Violation]:
    """O7."""
    dead = {(one.service, one.topic, one.partition, one.offset): one.reason for one in evidence.dead}
    return [
        *violation(
            "O7",
            "a record died that was no poison",
            (f"{place} {why}" for place, why in dead.items() if place not in evidence.expected_dead),
        ),
        *violation("O7", "poison is not among the dead letters", evidence.expected_dead - dead.keys()),
    ]


def pages_serve(evidence: Evidence) -> list[Violation]:
    """O8. 503 with Retry-After while the service's database is away, no answer while its process is; nothing else."""
    return violation(
        "O8", "a page failed", (_told(visit) for visit in failed(evidence) if not _excused(visit, evidence))
    )


def failed(evidence: Evidence) -> Iterable[Visit]:
    """Visits that got a 5xx, no answer, no report, or a 429: these visitors come no oftener than people do."""
    return (
        visit
        for visit in evidence.visits
        if visit.status is None or visit.status >= 500 or visit.status == 429 or _has_no_report(visit)
    )


def _has_no_report(visit: Visit) -> bool:
    """Who has a key gets a report; nobody asks for anything that is not there."""
    return visit.service == "reports" and visit.status != 200


def _excused(visit: Visit, evidence: Evidence) -> bool:
    kinds = {
        absence.kind
        for absence in evidence.absences
        if absence.service == visit.service
        and visit.began <= absence.until + GRACE_SECONDS
        and visit.ended >= absence.since - GRACE_SECONDS
    }
    if visit.status is None:
        return "process" in kinds and visit.error != "ReadTimeout"
    return visit.status == 503 and visit.retry_after and "database" in kinds


def _told(visit: Visit) -> str:
    answer = visit.status or visit.error
    return f"{visit.method} {visit.service}{visit.route} {answer} after {visit.seconds:.1f} s"
