"""Where the trend's marks go, and how figures are written."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reports.chart import BAR_BOTTOM, BAR_TOP, BOTTOM, TOP, draw
from services.reports.days import Days
from services.reports.formats import counted, interval, label, mean, percent, points, steps, tick
from services.reports.satisfaction import Scores, share

FIRST = date(2026, 3, 2)
FIVE, ONE, NONE = Scores((0, 0, 0, 0, 1)), Scores((1, 0, 0, 0, 0)), Scores()


def a_trend(*scores: Scores) -> list[tuple[Days, Scores]]:
    """A day for each."""
    days = [FIRST + timedelta(days=number) for number in range(len(scores))]
    return [(Days(day, day + timedelta(days=1)), one) for day, one in zip(days, scores, strict=True)]


@given(st.lists(st.builds(lambda *counts: Scores(counts), *[st.integers(0, 9)] * 5), min_size=1, max_size=120))
def test_everything_is_drawn_within_the_picture(scores: list[Scores]) -> None:
    """Columns lie side by side from edge to edge, dots between 1 and 5 stars, bars within their strip."""
    chart = draw(a_trend(*scores))

    assert len(chart.marks) == len(scores)
    for mark in chart.marks:
        assert 0 <= mark.left <= mark.x <= mark.left + mark.width <= 100.1
        assert mark.y is None or TOP <= mark.y <= BOTTOM
        assert 0 <= mark.bar_height <= BAR_BOTTOM - BAR_TOP
        assert (mark.y is None) == (mark.scores.n == 0)
    assert max(mark.bar_height for mark in chart.marks) == (BAR_BOTTOM - BAR_TOP if chart.busiest else 0)
    assert 1 <= sum(mark.has_label for mark in chart.marks) <= 7
    assert chart.marks[-1].has_label


def test_five_stars_are_up_and_one_is_down() -> None:
    """Better is higher, whatever it is of."""
    for measure in ("average", "csat"):
        chart = draw(a_trend(FIVE, ONE), measure)
        up, down = chart.marks

        assert (up.y, down.y) == (TOP, BOTTOM)
        assert [y for _, y in chart.lines] == [BOTTOM, 144.0, 108.0, 72.0, TOP]
        assert chart.has_few


def test_a_line_over_days_without_responses_is_told_apart() -> None:
    """A gap is not a measurement, and neither are too few; the bridge over them is drawn paler."""
    fives = Scores((0, 0, 0, 0, 5))
    segments = draw(a_trend(fives, fives, NONE, NONE, fives, ONE)).segments

    assert [segment.is_bridge for segment in segments] == [False, True, True]


def test_a_trend_without_any_response_has_no_line() -> None:
    """And divides by nothing."""
    chart = draw(a_trend(NONE, NONE))

    assert chart.segments == []
    assert [mark.bar_height for mark in chart.marks] == [0, 0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0%"),
        (0.001, "<1%"),
        (0.005, "0%"),
        (0.125, "12%"),
        (0.8795, "88%"),
        (0.9949, "99%"),
        (0.996, ">99%"),
        (1.0, "100%"),
    ],
)
def test_almost_all_is_not_all(value: float | None, text: str) -> None:
    """100% is said when it is so, 0% likewise."""
    assert percent(value) == text


def test_figures_are_written_for_people() -> None:
    """With nouns in the right number, separators, and a dash where there is nothing."""
    assert counted(1, "response", "responses") == "1 response"
    assert counted(1204, "response", "responses") == "1,204 responses"
    assert (mean(4.2381), mean(None)) == ("4.24", "–")
    assert (interval(share(73, 83)), interval(share(0, 0))) == ("79–93%", "–")
    assert (interval(share(2000, 2000)), interval(share(0, 2000))) == (">99–100%", "0–<1%")
    assert (points(0.694, 0.734), points(0.7, 0.69), points(0.7, 0.702)) == ("4 points", "1 point", "")
    assert (steps(4.256, 3.94), steps(4.001, 4.004)) == ("0.32", "")
    assert (label("not_solved"), label("whatsapp"), label("_")) == ("Not solved", "Whatsapp", "_")
    assert tick(Days(FIRST, FIRST + timedelta(days=1)), "day") == "2 Mar"
    assert tick(Days(FIRST, FIRST + timedelta(days=30)), "month") == "Mar 2026"
