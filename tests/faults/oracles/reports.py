"""O5: the reports say what the ratings say, which is what the journal says."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import asyncpg
import msgspec

from tests.faults.evidence import Evidence
from tests.faults.oracles.violation import Violation, violation

_STATES = {"unanswered": "expired", "reopened": "withdrawn", "undeliverable": "undeliverable"}


def reports_agree(evidence: Evidence) -> list[Violation]:
    """O5. The journal's ratings, the surveys, the read model and the API's answers are the same."""
    return [
        *violation("O5", "a survey and its row in the reports differ", _different_rows(evidence)),
        *violation("O5", "a score is not the one that was given", _wrong_scores(evidence)),
        *(one for account in evidence.account_ids for one in _answers_differ(evidence, account)),
    ]


def _different_rows(evidence: Evidence) -> Iterable[str]:
    reported = {row["survey_id"]: row for row in evidence.ratings}
    for survey in evidence.surveys:
        row = reported.get(str(survey["survey_id"]))
        if row is None:
            yield f"{survey['survey_id']} is missing"
            continue
        due = (_state(survey), survey["score"], survey["comment"] or None, survey["submitted_at"])
        there = (row["state"], row["score"], row["comment"] or None, row["submitted_at"])
        if due != there:
            yield f"{survey['survey_id']}: {there}, not {due}"


def _state(survey: asyncpg.Record) -> str:
    """What the reports call a survey's state."""
    return _STATES[survey["expired_reason"]] if survey["state"] == "expired" else survey["state"]


def _wrong_scores(evidence: Evidence) -> Iterable[str]:
    for row in evidence.ratings:
        mark = (row["comment"] or "").partition("op:")[2].partition(" ")[0]
        if row["submitted_at"] and (not mark or evidence.operations[mark].score != row["score"]):
            yield f"{row['survey_id']}: {row['score']} by {mark or 'nobody'}"


def _answers_differ(evidence: Evidence, account_id: str) -> Iterable[Violation]:
    """Compute each answer anew, from the scores in the journal of those operations whose effect is in the surveys."""
    surveys = [row for row in evidence.surveys if row["account_id"] == account_id]
    rated = [
        (evidence.operations[mark].score, msgspec.json.decode(row["facts"]).get("agent"), row["submitted_at"])
        for row in surveys
        if (mark := row["comment"].partition("op:")[2].partition(" ")[0]) in evidence.operations
    ]
    answers = evidence.answers.get(account_id)
    if answers is None:
        yield from violation("O5", "the reports do not know an account", [account_id] if surveys else [])
        return
    states = Counter(map(_state, surveys))
    by_agent: dict[str | None, list[int]] = defaultdict(list)
    for score, agent, _ in rated:
        by_agent[agent["agent_id"] if agent else None].append(score)
    zone = evidence.zones[account_id]
    by_day: dict[str, list[int]] = defaultdict(list)
    for score, _, at in rated:
        by_day[at.astimezone(zone).date().isoformat()].append(score)
    summary = answers["summary"]
    comparisons: list[tuple[str, Any, Any]] = [
        ("summary", _of(summary["satisfaction"]), _figures([score for score, _, _ in rated])),
        ("states", {state: n for state, n in summary["surveys"].items() if n}, dict(states)),
        (
            "distribution",
            {row["score"]: row["responses"] for row in answers["distribution"]["scores"] if row["responses"]},
            dict(Counter(score for score, _, _ in rated)),
        ),
        (
            "agents",
            {row["agent_id"]: _of(row["satisfaction"]) for row in answers["agents"]["agents"]},
            {agent: _figures(scores) for agent, scores in by_agent.items()},
        ),
        (
            "trend",
            {
                row["from"]: _of(row["satisfaction"])
                for row in answers["trend"]["periods"]
                if row["satisfaction"]["responses"]
            },
            {day: _figures(scores) for day, scores in by_day.items()},
        ),
    ]
    for report, said, computed in comparisons:
        if said != computed:
            yield Violation("O5", f"{report} of {account_id} says {said}, the journal {computed}")


def _figures(scores: list[int]) -> tuple[int, float | None, float | None]:
    n = len(scores)
    return n, _rounded(sum(scores) / n if n else None), _rounded(sum(s >= 4 for s in scores) / n if n else None)


def _of(satisfaction: dict[str, Any]) -> tuple[int, float | None, float | None]:
    return (
        satisfaction["responses"],
        _rounded(satisfaction["average"]),
        _rounded(satisfaction["csat"]["value"]),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 9)
