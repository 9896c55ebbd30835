"""The trend as a picture: where each period's dot, bar and label go.

Horizontal places are percentages and vertical ones pixels, so the browser stretches the picture to any width while
dots stay round and text keeps its size. Nothing here needs a script or a style in the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Literal

from services.reports.days import Days
from services.reports.satisfaction import Scores

TOP, BOTTOM = 36.0, 180.0
"""Pixels from the upper edge where 5 and 1 stars are."""

BAR_TOP, BAR_BOTTOM = 200.0, 240.0
HEIGHT = 266
_TICKS = 7
_WIDEST_BAR = 6.0


@dataclass(frozen=True, slots=True)
class Mark:
    """One period: `x` is its centre, `left` and `width` its column, all in percent of the width; `y` its average."""

    days: Days
    scores: Scores
    x: float
    left: float
    width: float
    y: float | None
    bar_height: float
    bar_left: float
    bar_width: float
    has_label: bool
    label_is_spare: bool
    anchor: Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A line between two dots; `is_bridge` when periods without responses lie between them."""

    x1: float
    y1: float
    x2: float
    y2: float
    is_bridge: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole picture."""

    marks: list[Mark]
    segments: list[Segment]
    busiest: int

    height = HEIGHT
    bar_bottom = BAR_BOTTOM

    @staticmethod
    def level(score: float) -> float:
        """How far down a score is, in pixels."""
        return round(TOP + (5 - score) / 4 * (BOTTOM - TOP), 1)


def draw(periods: Sequence[tuple[Days, Scores]]) -> Chart:
    """Place every period of a trend."""
    width = 100 / len(periods)
    busiest = max(scores.n for _, scores in periods)
    labelled = _spread(len(periods))
    marks = [
        _mark(number, days, scores, width=width, busiest=busiest, labelled=labelled)
        for number, (days, scores) in enumerate(periods)
    ]
    dots = [(number, mark) for number, mark in enumerate(marks) if mark.y is not None]
    segments = [
        Segment(left.x, left.y or 0, right.x, right.y or 0, is_bridge=place + 1 < next_place)
        for (place, left), (next_place, right) in pairwise(dots)
    ]
    return Chart(marks, segments, busiest)


def _mark(number: int, days: Days, scores: Scores, *, width: float, busiest: int, labelled: list[int]) -> Mark:
    x = (number + 0.5) * width
    bar_width = min(width * 0.6, _WIDEST_BAR)
    return Mark(
        days=days,
        scores=scores,
        x=round(x, 3),
        left=round(number * width, 3),
        width=round(width, 3),
        y=None if scores.average is None else Chart.level(scores.average),
        bar_height=round((BAR_BOTTOM - BAR_TOP) * scores.n / busiest, 1) if busiest else 0.0,
        bar_left=round(x - bar_width / 2, 3),
        bar_width=round(bar_width, 3),
        has_label=number in labelled,
        label_is_spare=number in labelled[1::2],
        anchor="start" if x < 25 else "end" if x > 75 else "middle",
    )


def _spread(count: int) -> list[int]:
    """Pick at most _TICKS of `count` places, evenly and from the last one back."""
    return list(range(count - 1, -1, -ceil(count / _TICKS)))
