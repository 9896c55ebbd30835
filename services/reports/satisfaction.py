"""The arithmetic of satisfaction, and nothing else: scores in, figures out.

Average: the mean of the scores. CSAT: the share of fours and fives among the responses. Both count a response on the
day it was given. Response rate: of the surveys created in a range, the share that was ever answered, whenever that was;
a survey withdrawn because its ticket was reopened counts neither way, and neither does one that could not be delivered:
nobody had a fair chance to answer them. One that is still open counts as not answered so far, so the rate of a recent
range can rise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from statistics import NormalDist
from typing import Literal

SCORES = range(1, 6)
SATISFIED = range(4, 6)

ENOUGH_TO_RANK = 5
"""Responses. With fewer, even unanimous ones leave about half of all shares possible, and a rank would be noise."""

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

State = Literal["pending", "submitted", "expired", "withdrawn", "undeliverable"]
"""What became of a survey."""

Reason = Literal["disabled", "no_address", "too_old", "not_sampled", "opted_out", "no_reply", "asked_recently"]
"""Why a resolution led to no survey."""


@dataclass(frozen=True, slots=True)
class Share:
    """`part` of `n`, with the interval that holds the true share with 95 % confidence. All None when `n` is 0."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


def share(part: int, n: int) -> Share:
    """Compute a share and its Wilson score interval, all 0 to 1.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), 209-212; without continuity correction. Unlike the textbook interval it
    stays within 0 to 1 and has a width where all answers agree.
    """
    if not 0 <= part <= n:
        raise ValueError(f"{part} is no part of {n}")
    if n == 0:
        return Share(0)
    value = part / n
    shrink = 1 + _Z**2 / n
    centre = (value + _Z**2 / (2 * n)) / shrink
    margin = _Z * sqrt(value * (1 - value) / n + _Z**2 / (4 * n**2)) / shrink
    # The formula touches 0 and 1 exactly; floating point may miss them by a hair, and may miss the value itself.
    return Share(n, value, max(0.0, min(value, centre - margin)), min(1.0, max(value, centre + margin)))


@dataclass(frozen=True, slots=True)
class Scores:
    """How often each score was given: `counts[0]` ones to `counts[4]` fives."""

    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    @property
    def n(self) -> int:
        """Responses."""
        return sum(self.counts)

    @property
    def average(self) -> float | None:
        """The mean score, 1 to 5; None without responses."""
        return sum(score * count for score, count in zip(SCORES, self.counts, strict=True)) / self.n if self.n else None

    @property
    def csat(self) -> Share:
        """The share of fours and fives among all responses."""
        return share(sum(self.counts[score - 1] for score in SATISFIED), self.n)

    @property
    def can_be_ranked(self) -> bool:
        """Whether there are enough responses to compare with others'."""
        return self.n >= ENOUGH_TO_RANK

    def share_of(self, score: int) -> Share:
        """The share of responses that gave `score`."""
        return share(self.counts[score - 1], self.n)

    @staticmethod
    def total(some: Iterable["Scores"]) -> "Scores":
        """Add up."""
        sums = [0, 0, 0, 0, 0]
        for scores in some:
            sums = [left + right for left, right in zip(sums, scores.counts, strict=True)]
        return Scores((sums[0], sums[1], sums[2], sums[3], sums[4]))


def response_rate(surveys: Mapping[State, int]) -> Share:
    """Compute the response rate of surveys created together, given how many of them are in which state.

    Withdrawn and undeliverable ones are left out, above the line and below.
    """
    answered = surveys.get("submitted", 0)
    return share(answered, answered + surveys.get("pending", 0) + surveys.get("expired", 0))


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent's scores. `agent_id` None stands for the tickets that were nobody's."""

    agent_id: str | None
    name: str | None
    scores: Scores
    rank: int | None = None


def ranked(agents: Iterable[Agent]) -> list[Agent]:
    """Put agents in order, best CSAT first and of equals the better average; who equals in both shares a rank.

    Agents with too few responses come after them by name and have no rank, and so does nobody, at the very end.
    """

    def figures(agent: Agent) -> tuple[float, float]:
        return agent.scores.csat.value or 0.0, agent.scores.average or 0.0

    def by_name(agent: Agent) -> tuple[str, str]:
        return (agent.name or "").casefold(), agent.agent_id or ""

    everybody = sorted(agents, key=by_name)
    comparable = [agent for agent in everybody if agent.agent_id is not None and agent.scores.can_be_ranked]
    comparable.sort(key=figures, reverse=True)
    ranks: dict[tuple[float, float], int] = {}
    for place, agent in enumerate(comparable, start=1):
        ranks.setdefault(figures(agent), place)
    others = [agent for agent in everybody if agent not in comparable]
    others.sort(key=lambda agent: agent.agent_id is None)
    return [replace(agent, rank=ranks[figures(agent)]) for agent in comparable] + others
