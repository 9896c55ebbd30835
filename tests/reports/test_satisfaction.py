"""The arithmetic, against published figures and against naive ways to the same numbers."""

from collections import Counter
from fractions import Fraction
from itertools import chain
from math import isclose
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reports.satisfaction import (
    Agent,
    Scores,
    State,
    difference_of_averages,
    difference_of_rates,
    difference_of_shares,
    ranked,
    response_rate,
    share,
)

some_scores = st.lists(st.integers(1, 5), max_size=60)


def counted(scores: list[int]) -> Scores:
    """Count a list of scores."""
    return Scores(tuple(scores.count(score) for score in range(1, 6)))


@given(some_scores)
def test_average_and_csat_are_what_a_person_would_work_out_from_the_list(scores: list[int]) -> None:
    """The mean of the scores, and the share of fours and fives among all of them."""
    found = counted(scores)

    assert found.n == len(scores)
    if not scores:
        assert found.average is None
        assert found.csat.value is None
        return
    assert isclose(found.average or 0, Fraction(sum(scores), len(scores)))
    assert isclose(found.csat.value or 0, len([score for score in scores if score >= 4]) / len(scores))
    assert found.csat.n == len(scores)


@given(some_scores)
def test_the_shares_of_the_five_scores_add_up(scores: list[int]) -> None:
    """Nothing is counted twice or left out."""
    found = counted(scores)

    if scores:
        assert isclose(sum(found.share_of(score).value or 0 for score in range(1, 6)), 1)


@given(st.lists(some_scores, max_size=5))
def test_a_total_is_the_same_as_counting_everything_at_once(parts: list[list[int]]) -> None:
    """A week's figures come from its responses, not from the averages of its days."""
    assert Scores.total(map(counted, parts)) == counted([*chain.from_iterable(parts)])


@pytest.mark.parametrize(
    ("part", "n", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
        # 857-872, table I, method 3 (score method without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(part: int, n: int, low: float, high: float) -> None:
    """Checked with the examples of the paper that compares seven such intervals, to its four decimals."""
    found = share(part, n)

    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_the_interval_holds_the_share_and_stays_within_0_and_1(part: int, rest: int) -> None:
    """Also where all answers agree, the case in which the textbook interval has no width."""
    found = share(part, part + rest)

    if found.n:
        assert 0 <= (found.low or 0) <= (found.value or 0) <= (found.high or 0) <= 1
        assert (found.high or 0) - (found.low or 0) > 0


@given(st.integers(1, 200), st.integers(1, 200))
def test_the_ends_solve_the_equation_the_interval_is_defined_by(part: int, rest: int) -> None:
    """An independent way to it: at both ends p, the share lies 1.96 standard errors of p away (the score test)."""
    n = part + rest
    found = share(part, n)

    for p in (found.low or 0, found.high or 0):
        assert isclose((part / n - p) ** 2, 1.959963984540054**2 * p * (1 - p) / n, rel_tol=1e-6)


@pytest.mark.parametrize(("part", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_a_part_larger_than_the_whole_is_refused(part: int, n: int) -> None:
    """A mistake in a query shows itself, not a share over 100 %."""
    with pytest.raises(ValueError, match="no part"):
        share(part, n)


def test_a_share_of_nothing_is_no_number() -> None:
    """No responses is not 0 %."""
    found = share(0, 0)

    assert (found.n, found.value, found.low, found.high) == (0, None, None, None)


@given(st.lists(st.sampled_from(get_args(State)), max_size=60))
def test_the_response_rate_leaves_out_surveys_that_were_withdrawn_or_never_arrived(states: list[State]) -> None:
    """Who could have answered and did, of all who could have or still can."""
    fair = [state for state in states if state not in {"withdrawn", "undeliverable"}]

    rate = response_rate(Counter(states))

    assert rate.n == len(fair)
    assert rate.value == (fair.count("submitted") / len(fair) if fair else None)


def an_agent(name: str, *scores: int, agent_id: str | None = "") -> Agent:
    """An agent, whose id is the name in lower case unless told."""
    return Agent(name.lower() if agent_id == "" else agent_id, name, counted(list(scores)))


def test_agents_are_ranked_by_csats_lower_end_then_average_and_equals_share_a_rank() -> None:
    """Best first; after two firsts comes the third."""
    agents = [
        an_agent("Good", 4, 4, 4, 4, 4),
        an_agent("Best", 5, 5, 5, 5, 5),
        an_agent("Alike", 5, 5, 5, 5, 5),
        an_agent("Worst", 5, 5, 5, 1, 1),
    ]

    assert [(agent.name, agent.rank) for agent in ranked(agents)] == [
        ("Alike", 1),
        ("Best", 1),
        ("Good", 3),
        ("Worst", 4),
    ]


def test_many_good_scores_rank_above_a_few_perfect_ones() -> None:
    """Five of five may be luck: what is sure of them is less than of 95 in a hundred."""
    agents = [an_agent("Lucky", *[5] * 5), an_agent("Steady", *[5] * 95, *[1] * 5)]

    assert [(agent.name, agent.rank) for agent in ranked(agents)] == [("Steady", 1), ("Lucky", 2)]


def test_fewer_than_five_responses_are_too_few_to_rank() -> None:
    """Four perfect scores do not beat a hundred good ones; they are listed behind, by name."""
    agents = [
        an_agent("Zoe", 5, 5, 5, 5),
        an_agent("Amy", 1),
        an_agent("Ben", 1, 1, 1, 1, 1),
    ]

    assert [(agent.name, agent.rank) for agent in ranked(agents)] == [("Ben", 1), ("Amy", None), ("Zoe", None)]


def test_tickets_that_were_nobodys_are_listed_last_and_have_no_rank() -> None:
    """Nobody competes with nobody."""
    nobody = Agent(None, None, counted([5] * 9))
    agents = [nobody, an_agent("Zoe", 1), an_agent("Ben", 1, 1, 1, 1, 1)]

    assert [(agent.name, agent.rank) for agent in ranked(agents)] == [("Ben", 1), ("Zoe", None), (None, None)]


@pytest.mark.parametrize(
    ("now", "before", "low", "high"),
    [
        # R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
        # methods", Statistics in Medicine 17 (1998), 873-890, table II, method 10, examples (a) to (h).
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_difference_of_shares_is_newcombes(
    now: tuple[int, int], before: tuple[int, int], low: float, high: float
) -> None:
    """Checked with the examples of the paper, to its four decimals."""
    found = difference_of_shares(share(*now), share(*before))

    assert found is not None
    assert found.value == pytest.approx(now[0] / now[1] - before[0] / before[1])
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.more_than_noise == (low > 0)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_a_difference_turns_with_its_sides_and_stays_within_bounds(a: int, b: int, c: int, d: int) -> None:
    """What rose by this much from there has fallen by as much from here."""
    one, two = share(a, a + b), share(c, c + d)

    there, back = difference_of_shares(one, two), difference_of_shares(two, one)

    assert (there is None) == (min(one.n, two.n) < 5)
    if there and back:
        assert -1 <= there.low <= there.value <= there.high <= 1
        assert (back.low, back.high) == (pytest.approx(-there.high), pytest.approx(-there.low))


@given(st.tuples(*[st.integers(0, 60)] * 6))
def test_the_difference_of_response_rates_holds_whatever_becomes_of_open_surveys(counts: tuple[int, ...]) -> None:
    """However many of them are answered in the end, on either side, that difference is within the interval of today."""
    submitted, open_now, expired, before_submitted, open_before, before_expired = counts
    now: dict[State, int] = {"submitted": submitted, "pending": open_now, "expired": expired}
    before: dict[State, int] = {"submitted": before_submitted, "pending": open_before, "expired": before_expired}

    found = difference_of_rates(now, before)

    assert (found is None) == (min(sum(now.values()), sum(before.values())) < 5)
    if found:
        for answered_now, answered_before in ((0, 0), (0, open_before), (open_now, 0), (open_now, open_before)):
            in_the_end = difference_of_shares(
                share(submitted + answered_now, sum(now.values())),
                share(before_submitted + answered_before, sum(before.values())),
            )
            assert in_the_end is not None
            assert found.low - 1e-9 <= in_the_end.low <= in_the_end.high <= found.high + 1e-9
        if not open_now and not open_before:
            assert found == difference_of_shares(response_rate(now), response_rate(before))


def test_the_difference_of_averages_is_welchs() -> None:
    """Checked with a calculation by hand, and Student's t for 8 degrees of freedom from a table: 2.306."""
    now, before = counted([5, 5, 4, 4, 3]), counted([1, 2, 2, 5, 3, 1])

    found = difference_of_averages(now, before)

    # Means 4.2 and 2.3333, variances 0.7 and 2.2667: squared errors 0.14 and 0.37778, of 4 and 5 degrees: 8.02.
    assert found is not None
    assert found.value == pytest.approx(1.866667, abs=1e-6)
    assert found.high - found.value == pytest.approx(2.306 * (0.14 + 0.377778) ** 0.5, abs=2e-3)
    assert found.more_than_noise


def test_the_interval_of_an_average_is_students() -> None:
    """Of 2, 3, 4, 4, 5: the mean 3.6, the variance 1.3, and t for 4 degrees of freedom, 2.776 in every table."""
    interval = counted([2, 3, 4, 4, 5]).average_interval

    assert interval is not None
    assert interval.low == pytest.approx(3.6 - 2.776 * (1.3 / 5) ** 0.5, abs=1e-3)
    assert interval.high == 5.0


@pytest.mark.parametrize("scores", [[], [3], [1, 2, 3, 4], [4, 4, 4, 4, 4, 4]])
def test_too_few_or_equal_scores_have_no_interval(scores: list[int]) -> None:
    """An interval without a width would claim to be sure."""
    found = counted(scores)

    assert found.average_interval is None
    assert difference_of_averages(found, found) is None


@given(some_scores, some_scores)
def test_intervals_of_averages_hold_them(one: list[int], two: list[int]) -> None:
    """And stay where an average, or a difference of two, can be."""
    now, before = counted(one), counted(two)

    if interval := now.average_interval:
        assert 1 <= interval.low < (now.average or 0) < interval.high <= 5
    if change := difference_of_averages(now, before):
        assert -4 <= change.low <= change.value <= change.high <= 4
        assert min(now.n, before.n) >= 5
