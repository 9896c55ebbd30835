"""An example of each answer for the API's document, made by the code that makes the answers."""

from datetime import UTC, date, datetime

from services.reports.answers import Covered, Distribution, Figures, Period, Response, Responses, Summary, Trend
from services.reports.breakdowns import AgentFigures, Agents, Channels, Priorities, Reasons
from services.reports.days import Days
from services.reports.figures import Comparison, Part, Totals
from services.reports.satisfaction import Agent, Reason, Scores, State, ranked

_MARCH, _FEBRUARY = Days(date(2026, 3, 1), date(2026, 4, 1)), Days(date(2026, 2, 1), date(2026, 3, 1))
_SCORES = Scores((3, 4, 9, 41, 63))
_SURVEYS: dict[State, int] = {"pending": 21, "submitted": 118, "expired": 95, "withdrawn": 6, "undeliverable": 2}
_SKIPPED: dict[Reason, int] = {
    "disabled": 0,
    "no_address": 3,
    "too_old": 0,
    "not_sampled": 0,
    "opted_out": 4,
    "no_reply": 11,
    "asked_recently": 38,
}
_TOTALS = Totals(_SCORES, _SURVEYS, _SKIPPED)
_BEFORE = Totals(Scores((6, 9, 14, 38, 40)), {**_SURVEYS, "pending": 0, "submitted": 104, "expired": 121}, _SKIPPED)


def _part(name: str, totals: Totals) -> Part:
    return Part(name, totals.scores, totals.response_rate)


_COVERED = Covered(
    from_=_MARCH.start,
    to=_MARCH.end,
    time_zone="Europe/Berlin",
    agent=None,
    priority=[],
    channel=[],
    attribution="credited",
)

SUMMARY = Summary.of(_COVERED, _TOTALS, Comparison.of(_TOTALS, _BEFORE, _FEBRUARY))
DISTRIBUTION = Distribution.of(_COVERED, _SCORES)
AGENTS = Agents(
    _COVERED,
    [
        AgentFigures(agent.agent_id, agent.name, Figures.of(agent.scores), agent.rank)
        for agent in ranked(
            [
                Agent("a-7", "Ada Okafor", Scores((1, 1, 4, 22, 40))),
                Agent("a-9", "Ben Suzuki", Scores((2, 3, 5, 19, 20))),
                Agent("a-12", "Eve Larsen", Scores((0, 0, 0, 0, 3))),
            ]
        )
    ],
)
PRIORITIES = Priorities.of(_COVERED, [_part("urgent", _BEFORE), _part("normal", _TOTALS)])
CHANNELS = Channels.of(_COVERED, [_part("email", _TOTALS), _part("chat", _BEFORE)])
REASONS = Reasons.of(_COVERED, [("slow", 5), ("not_solved", 2)])
TREND = Trend(_COVERED, "month", [Period.of(_MARCH, _SCORES)])
RESPONSES = Responses(
    _COVERED,
    [
        Response(
            survey_id="0192f6a3-5c1e-7d3b-9a52-4f1f8f2f4c11",
            ticket_id="4711",
            subject="Where is my order?",
            requester_name="Sam Reyes",
            agent_id="a-7",
            agent_name="Ada Okafor",
            assignee_id="a-7",
            assignee_name="Ada Okafor",
            last_replier_id="a-9",
            last_replier_name="Ben Suzuki",
            priority="normal",
            channel="email",
            score=5,
            reason=None,
            comment="Quick and friendly.",
            submitted_at=datetime(2026, 3, 30, 9, 14, tzinfo=UTC),
            ticket_url="https://desk.example/accounts/acme/tickets/4711",
        )
    ],
    "0192f6a3-5c1e-7d3b-9a52-4f1f8f2f4c11",
)
CSV = '"survey_id","ticket_id",…\r\n"0192f6a3-5c1e-7d3b-9a52-4f1f8f2f4c11","4711",…\r\n'
