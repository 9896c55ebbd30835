"""The arithmetic of satisfaction, and nothing else: scores in, figures out.

Average: the mean of the scores. CSAT: the share of fours and fives among the responses. Both count a response on the
day it was given. Response rate: of the surveys created in a range, the share that was ever answered, whenever that was;
a survey withdrawn because its ticket was reopened counts neither way, and neither does one that could not be delivered:
nobody had a fair chance to answer them. One that is still open counts as not answered so far, so the rate of a recent
range can rise.
"""

from collections.abc import Iterable, Mapping
from math import hypot, sqrt
from statistics import NormalDist
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

SCORES = range(1, 6)

ENOUGH = 5
"""Responses to rank or compare. With fewer, even unanimous ones leave about half of all shares possible: noise."""

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
_Z_SQUARED = _Z**2

State = Literal["pending", "submitted", "expired", "withdrawn", "undeliverable"]
"""What became of a survey."""

Reason = Literal["disabled", "no_address", "too_old", "not_sampled", "opted_out", "no_reply", "asked_recently"]
"""Why a resolution led to no survey."""


class Share(Struct, frozen=True):
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
    shrink = 1 + _Z_SQUARED / n
    centre = (value + _Z_SQUARED / (2 * n)) / shrink
    margin = _Z * sqrt(value * (1 - value) / n + _Z_SQUARED / (4 * n * n)) / shrink
    # The formula touches 0 and 1 exactly; floating point may miss them by a hair, and may miss the value itself.
    return Share(n, value, max(0.0, min(value, centre - margin)), min(1.0, max(value, centre + margin)))


class Interval(Struct, frozen=True):
    """What holds a true value with 95 % confidence."""

    low: float
    high: float


class Difference(Struct, frozen=True):
    """What a figure is more than it was before, with the interval that holds the true difference."""

    value: float
    low: float
    high: float

    @property
    def more_than_noise(self) -> bool:
        """Whether the interval leaves no room for no difference."""
        return self.low > 0 or self.high < 0


def difference_of_shares(now: Share, before: Share) -> Difference | None:
    """Compare two shares of different people; None where one of them is of fewer than ENOUGH.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Statistics in Medicine 17 (1998), 873-890, method 10: the hybrid of two Wilson score intervals.
    """
    if min(now.n, before.n) < ENOUGH:
        return None
    one, low_of_one, high_of_one = (end or 0.0 for end in (now.value, now.low, now.high))
    two, low_of_two, high_of_two = (end or 0.0 for end in (before.value, before.low, before.high))
    value = one - two
    low = value - hypot(one - low_of_one, high_of_two - two)
    high = value + hypot(high_of_one - one, two - low_of_two)
    return Difference(value, max(-1.0, low), min(1.0, high))


def _students_t(freedom: float) -> float:
    """Give the quantile of Student's t for CONFIDENCE, to 0.001 from 4 degrees of freedom on.

    Source: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical Functions" (1964), 26.7.5.
    """
    first, second, third, fourth, fifth = _TERMS
    return first + (second + (third + (fourth + fifth / freedom) / freedom) / freedom) / freedom


_TERMS = (
    _Z,
    (_Z**3 + _Z) / 4,
    (5 * _Z**5 + 16 * _Z**3 + 3 * _Z) / 96,
    (3 * _Z**7 + 19 * _Z**5 + 17 * _Z**3 - 15 * _Z) / 384,
    (79 * _Z**9 + 776 * _Z**7 + 1482 * _Z**5 - 1920 * _Z**3 - 945 * _Z) / 92160,
)


class Scores(Struct, frozen=True):
    """How often each score was given: `counts[0]` ones to `counts[4]` fives."""

    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)

    @property
    def n(self) -> int:
        """Responses."""
        return sum(self.counts)

    @property
    def stars(self) -> int:
        """All scores together."""
        one, two, three, four, five = self.counts
        return one + 2 * two + 3 * three + 4 * four + 5 * five

    @property
    def average(self) -> float | None:
        """The mean score, 1 to 5; None without responses."""
        n = self.n
        return self.stars / n if n else None

    @property
    def variance(self) -> float | None:
        """The sample variance, of which the population's is expected; None with fewer than two responses."""
        n = self.n
        return self._spread / (n * (n - 1)) if n > 1 else None

    @property
    def _spread(self) -> int:
        """The squares of all differences from the mean together, n times: an integer, so nothing is lost."""
        one, two, three, four, five = self.counts
        squares = one + 4 * two + 9 * three + 16 * four + 25 * five
        return self.n * squares - self.stars**2

    @property
    def average_interval(self) -> Interval | None:
        """Student's interval of the average, within 1 to 5.

        None with fewer than ENOUGH responses, and where all agree: how far others would stray cannot be told from them.
        Source: Student, "The probable error of a mean", Biometrika 6 (1908), 1-25.
        """
        n, spread = self.n, self._spread
        if n < ENOUGH or not spread:
            return None
        average, margin = self.stars / n, _students_t(n - 1) * sqrt(spread / (n - 1)) / n
        return Interval(max(1.0, average - margin), min(5.0, average + margin))

    @property
    def csat(self) -> Share:
        """The share of fours and fives among all responses."""
        return share(self.counts[3] + self.counts[4], self.n)

    @property
    def can_be_ranked(self) -> bool:
        """Whether there are enough responses to compare with others'."""
        return self.n >= ENOUGH

    def share_of(self, score: int) -> Share:
        """The share of responses that gave `score`."""
        return share(self.counts[score - 1], self.n)

    @staticmethod
    def total(some: Iterable["Scores"]) -> "Scores":
        """Add up."""
        several = list(some)
        if len(several) == 1:
            return several[0]
        sums = [sum(column) for column in zip(*(scores.counts for scores in several), strict=True)]
        return Scores((sums[0], sums[1], sums[2], sums[3], sums[4])) if sums else Scores()


def difference_of_averages(now: Scores, before: Scores) -> Difference | None:
    """Compare two averages of different people, whose scores may stray differently.

    None where one of them is of fewer than ENOUGH responses, and where all agree on both sides. Source: B. L. Welch,
    "The generalization of 'Student's' problem when several different population variances are involved", Biometrika 34
    (1947), 28-35.
    """
    if min(now.n, before.n) < ENOUGH or now.average is None or before.average is None:
        return None
    errors = [(scores.variance or 0.0) / scores.n for scores in (now, before)]
    if not any(errors):
        return None
    freedom = sum(errors) ** 2 / sum(
        error**2 / (scores.n - 1) for error, scores in zip(errors, (now, before), strict=True)
    )
    value, margin = now.average - before.average, _students_t(freedom) * sqrt(sum(errors))
    return Difference(value, max(-4.0, value - margin), min(4.0, value + margin))


def response_rate(surveys: Mapping[State, int]) -> Share:
    """Compute the response rate of surveys created together, given how many of them are in which state.

    Withdrawn and undeliverable ones are left out, above the line and below.
    """
    answered = surveys.get("submitted", 0)
    return share(answered, answered + surveys.get("pending", 0) + surveys.get("expired", 0))


def difference_of_rates(now: Mapping[State, int], before: Mapping[State, int]) -> Difference | None:
    """Compare two response rates, so far; None where one of them is of fewer than ENOUGH surveys.

    The interval leaves room for whatever becomes of surveys that are still open, from all of them unanswered to all
    answered: else the latest days would always compare low. Source: C. F. Manski, "Nonparametric bounds on treatment
    effects", American Economic Review 80 (1990), 319-323, with Newcombe's interval at either end.
    """
    so_far = difference_of_shares(response_rate(now), response_rate(before))
    if not now.get("pending") and not before.get("pending"):
        return so_far
    lowest = difference_of_shares(response_rate(now), _rate_at_most(before))
    highest = difference_of_shares(_rate_at_most(now), response_rate(before))
    if so_far is None or lowest is None or highest is None:
        return None
    return Difference(so_far.value, lowest.low, highest.high)


def _rate_at_most(surveys: Mapping[State, int]) -> Share:
    """Compute the response rate should all open surveys be answered."""
    pending = surveys.get("pending", 0)
    return response_rate({**surveys, "pending": 0, "submitted": surveys.get("submitted", 0) + pending})


class Agent(Struct, frozen=True):
    """An agent's scores. `agent_id` None stands for the tickets that were nobody's."""

    agent_id: str | None
    name: str | None
    scores: Scores
    rank: int | None = None


def ranked(agents: Iterable[Agent]) -> list[Agent]:
    """Put agents in order by the lower end of CSAT's interval, of equals the better average; who equals shares a rank.

    The lower end is what an agent's CSAT is at least: 95 of 100 are more than 5 of 5. Agents with too few responses
    come after them by name and have no rank, and so does nobody, at the very end.
    """

    def by_name(agent: Agent) -> tuple[str, str]:
        return (agent.name or "").casefold(), agent.agent_id or ""

    def is_comparable(agent: Agent) -> bool:
        return agent.agent_id is not None and agent.scores.can_be_ranked

    everybody = sorted(agents, key=by_name)
    comparable = [
        ((agent.scores.csat.low or 0.0, agent.scores.average or 0.0), agent)
        for agent in everybody
        if is_comparable(agent)
    ]
    comparable.sort(key=lambda each: each[0], reverse=True)
    ranks: dict[tuple[float, float], int] = {}
    for place, (figures, _) in enumerate(comparable, start=1):
        ranks.setdefault(figures, place)
    others = [agent for agent in everybody if not is_comparable(agent)]
    others.sort(key=lambda agent: agent.agent_id is None)
    return [replace(agent, rank=ranks[figures]) for figures, agent in comparable] + others
