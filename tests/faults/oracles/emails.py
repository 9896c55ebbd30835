"""O6: one email for each event and recipient; a repeat is the same email again."""

from collections import Counter, defaultdict

from tests.faults.evidence import Evidence
from tests.faults.oracles.violation import Violation, violation

SENDER_DOMAIN = "closeloop.example"


def each_email_once(evidence: Evidence) -> list[Violation]:
    """O6. Repeats have the Message-ID of the first, and there are only as many as the row could cause."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for letter in evidence.letters:
        ids[letter.recipient, letter.about].add(letter.message_id)
    taken = Counter(letter.message_id for letter in evidence.letters)
    rows = {f"<{row['id']}@{SENDER_DOMAIN}>": row for row in evidence.emails}

    def in_state(state: str) -> dict[str, str]:
        return {id_: row["recipient"] for id_, row in rows.items() if row["state"] == state}

    found = [
        *violation(
            "O6", "two emails say the same to one person", (f"{key}" for key, some in ids.items() if len(some) > 1)
        ),
        *violation("O6", "an email was sent that nobody queued", taken.keys() - rows.keys()),
        *violation("O6", "an email counts as sent and never arrived", in_state("sent").keys() - taken.keys()),
        *violation("O6", "an email is still queued", in_state("queued").values()),
        *violation(
            "O6",
            "an email failed that nobody refused",
            (recipient for recipient in in_state("failed").values() if recipient not in evidence.undeliverable),
        ),
        *violation(
            "O6",
            "an email was refused for good and does not count as failed",
            evidence.undeliverable - set(in_state("failed").values()),
        ),
    ]
    if (count := repeats(evidence)) > evidence.allowed_repeats:
        again = (f"{id_} x{times}" for id_, times in taken.items() if times > 1)
        text = f"{count} emails were repeated and at most {evidence.allowed_repeats} may be"
        found += violation("O6", text, again)
    return found


def repeats(evidence: Evidence) -> int:
    """How many emails somebody got again."""
    return len(evidence.letters) - len({letter.message_id for letter in evidence.letters})
