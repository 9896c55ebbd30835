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

Measure = Literal["average", "csat"]
"""What a trend is of."""

TOP, BOTTOM = 36.0, 180.0
"""Pixels from the upper edge where the highest and the lowest figure there can be are."""

_LINES: dict[Measure, dict[str, float]] = {
    "average": {str(score): (score - 1) / 4 for score in range(1, 6)},
    "csat": {f"{share}%": share / 100 for share in (0, 25, 50, 75, 100)},
}
"""Names of the lines behind the trend, and how high they are between BOTTOM and TOP."""

BAR_TOP, BAR_BOTTOM = 200.0, 240.0
HEIGHT = 266
_TICKS = 7
_WIDEST_BAR = 6.0


@dataclass(frozen=True, slots=True)
class Mark:
    """One period: `x` is its centre, `left` and `width` its column, all in percent of the width; `y` its figure."""

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
    """A line between two dots; `is_bridge` when periods without responses lie between them, or one has too few."""

    x1: float
    y1: float
    x2: float
    y2: float
    is_bridge: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole picture."""

    lines: list[tuple[str, float]]
    """The lines behind it, and how far down they are in pixels."""
    marks: list[Mark]
    segments: list[Segment]
    busiest: int

    height = HEIGHT
    bar_bottom = BAR_BOTTOM

    @property
    def has_few(self) -> bool:
        """Whether there is a dot of too few responses to compare."""
        return any(mark.scores.n and not mark.scores.can_be_ranked for mark in self.marks)


def draw(periods: Sequence[tuple[Days, Scores]], measure: Measure = "average") -> Chart:
    """Place every period of a trend."""
    width = 100 / len(periods)
    busiest = max(scores.n for _, scores in periods)
    labelled = _spread(len(periods))
    marks = [
        _mark(number, days, scores, measure, width=width, busiest=busiest, labelled=labelled)
        for number, (days, scores) in enumerate(periods)
    ]
    dots = [(number, mark) for number, mark in enumerate(marks) if mark.y is not None]
    segments = [
        Segment(
            left.x,
            left.y or 0,
            right.x,
            right.y or 0,
            is_bridge=place + 1 < next_place or not (left.scores.can_be_ranked and right.scores.can_be_ranked),
        )
        for (place, left), (next_place, right) in pairwise(dots)
    ]
    lines = [(name, _level(height)) for name, height in _LINES[measure].items()]
    return Chart(lines, marks, segments, busiest)


def _level(height: float) -> float:
    """How far down a figure is, in pixels; 0 is the lowest there can be, 1 the highest."""
    return round(BOTTOM - height * (BOTTOM - TOP), 1)


def _mark(
    number: int, days: Days, scores: Scores, measure: Measure, *, width: float, busiest: int, labelled: list[int]
) -> Mark:
    x = (number + 0.5) * width
    bar_width = min(width * 0.6, _WIDEST_BAR)
    height = scores.csat.value if measure == "csat" else scores.average and (scores.average - 1) / 4
    return Mark(
        days=days,
        scores=scores,
        x=round(x, 3),
        left=round(number * width, 3),
        width=round(width, 3),
        y=None if height is None else _level(height),
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
