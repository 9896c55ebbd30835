"""Figures as people read them."""

from collections.abc import Callable

from services.reports.chart import Measure
from services.reports.days import Days, Granularity
from services.reports.satisfaction import Reason, Scores, Share


def percent(value: float | None) -> str:
    """Write a share without decimals. Almost all is not all: 100% and 0% are said of nothing else."""
    if value is None:
        return "–"
    if 0 < value < 0.005:
        return "<1%"
    if 0.995 <= value < 1:
        return ">99%"
    return f"{value * 100:.0f}%"


def interval(share: Share) -> str:
    """Write where the true share lies, 74–94%."""
    if share.low is None or share.high is None:
        return "–"
    return f"{percent(share.low).removesuffix('%')}–{percent(share.high)}"


def points(now: float, before: float) -> str:
    """Write how far apart two shares are as they are shown, so that a reader can subtract: 3 points, or nothing."""
    apart = abs(round(now * 100) - round(before * 100))
    return "" if not apart else f"{apart} point{'s' if apart > 1 else ''}"


def steps(now: float, before: float) -> str:
    """Write how far apart two averages are as they are shown, 0.32; nothing where they look alike."""
    apart = f"{abs(round(now, 2) - round(before, 2)):.2f}"
    return "" if apart == "0.00" else apart


def mean(value: float | None) -> str:
    """Write an average score with two decimals."""
    return "–" if value is None else f"{value:.2f}"


def figure_of(measure: Measure) -> Callable[[Scores], str]:
    """Give what writes the figure of a dot, with its interval."""

    def average(scores: Scores) -> str:
        about = scores.average_interval
        return mean(scores.average) + (f" ({mean(about.low)}–{mean(about.high)})" if about else "")

    def csat(scores: Scores) -> str:
        return percent(scores.csat.value) + (f" ({interval(scores.csat)})" if scores.can_be_ranked else "")

    return csat if measure == "csat" else average


def counted(count: int, one: str, many: str) -> str:
    """Write a count with its noun, 1,204 responses."""
    return f"{count:,} {one if count == 1 else many}"


def tick(days: Days, granularity: Granularity) -> str:
    """Name a period beneath a chart, as short as can be: 2 Mar, Mar 2026."""
    return f"{days.start:%b %Y}" if granularity == "month" else f"{days.start.day} {days.start:%b}"


NOT_ASKED: dict[Reason, str] = {
    "disabled": "while surveys were off",
    "no_address": "without an address",
    "too_old": "heard of too late",
    "not_sampled": "not in the sample",
    "opted_out": "opted out",
    "no_reply": "before any agent had replied",
    "asked_recently": "asked recently",
}


def label(code: str) -> str:
    """Write a code for people: not_solved is Not solved."""
    return code.replace("_", " ").strip().capitalize() or code


FORMATS = {
    "percent": percent,
    "interval": interval,
    "points": points,
    "steps": steps,
    "mean": mean,
    "counted": counted,
    "tick": tick,
    "label": label,
    "not_asked": NOT_ASKED,
}
