"""O1 to O8, which judge a row's evidence. O9, recovery in time, is measured while it happens: see gauges.py."""

from tests.faults.evidence import Evidence
from tests.faults.oracles.effects import each_event_once, each_operation_once
from tests.faults.oracles.emails import each_email_once
from tests.faults.oracles.events import each_event_in_the_log, each_key_in_order
from tests.faults.oracles.reports import reports_agree
from tests.faults.oracles.service import only_poison_is_dead, pages_serve
from tests.faults.oracles.violation import Violation

ORACLES = (
    each_operation_once,
    each_event_in_the_log,
    each_event_once,
    each_key_in_order,
    reports_agree,
    each_email_once,
    only_poison_is_dead,
    pages_serve,
)


def judge(evidence: Evidence) -> list[Violation]:
    """Everything that any oracle finds."""
    return [found for oracle in ORACLES for found in oracle(evidence)]


__all__ = ["ORACLES", "Evidence", "Violation", "judge"]
