"""Ranges of whole days, half-open as intervals should be, those with a name, and the periods they are shown in."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal, get_args

from msgspec import Struct

MAX_DAYS = 5 * 365 + 2
"""Five years with two leap days."""

DEFAULT_DAYS = 30
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)

Granularity = Literal["day", "week", "month"]

Preset = Literal[
    "today",
    "yesterday",
    "last_7_days",
    "last_30_days",
    "last_90_days",
    "this_week",
    "last_week",
    "this_month",
    "last_month",
    "this_quarter",
    "last_quarter",
    "this_year",
    "last_year",
]
"""Ranges with a name. Those of so many days, and of this week, month, quarter or year, end with today."""

PRESETS: tuple[Preset, ...] = get_args(Preset)


class WrongDays(ValueError):
    """Days that make no range of ours: `end` names the one to blame, the text says why."""

    def __init__(self, end: Literal["start", "end"], text: str) -> None:
        super().__init__(text)
        self.end = end


class Days(Struct, frozen=True):
    """The days from `start` to before `end`."""

    start: date
    end: date

    @property
    def last(self) -> date:
        """The last day that is in."""
        return self.end - timedelta(days=1)

    @property
    def count(self) -> int:
        """How many days."""
        return (self.end - self.start).days

    def each(self) -> Iterator[date]:
        """The days one by one."""
        return (self.start + timedelta(days=number) for number in range(self.count))

    @property
    def before(self) -> "Days":
        """As many days, right before these."""
        return Days(self.start - timedelta(days=self.count), self.start)

    @property
    def text(self) -> str:
        """The days for people: 2 March 2026, 2-8 March 2026, 28 February - 6 March 2026, March 2026."""
        first, last = self.start, self.last
        if first == last:
            return f"{first.day} {first:%B %Y}"
        if (first.year, first.month) == (last.year, last.month):
            whole_month = first.day == 1 and self.end.day == 1
            return f"{first:%B %Y}" if whole_month else f"{first.day}–{last.day} {last:%B %Y}"
        year = "" if first.year == last.year else f" {first.year}"
        return f"{first.day} {first:%B}{year} – {last.day} {last:%B %Y}"

    def periods(self, granularity: Granularity) -> list["Days"]:
        """Cut into days, weeks from Monday, or months. The first and the last one may be cut short by the range."""
        periods = []
        start = self.start
        while start < self.end:
            end = min(_next(start, granularity), self.end)
            periods.append(Days(start, end))
            start = end
        return periods


def days_between(start: date | None, end: date | None, *, today: date) -> Days:
    """Make the range somebody asked for; what they left out is filled to 30 days, or up to and with today.

    Raises WrongDays for an empty or reversed range, one over five years, or years outside of 2000 to 2999.
    """
    if start and not EARLIEST <= start <= LATEST:
        raise WrongDays("start", "The year must be 2000 to 2999.")
    if end and not EARLIEST < end <= LATEST:
        raise WrongDays("end", "The year must be 2000 to 2999.")
    if end is None:
        end = today + timedelta(days=1)
    if start is None:
        start = end - timedelta(days=DEFAULT_DAYS)
    if start >= end:
        raise WrongDays("end", "The range must end after it starts.")
    if (end - start).days > MAX_DAYS:
        raise WrongDays("start", "The range must not be longer than five years.")
    return Days(start, end)


def preset_days(preset: Preset, today: date) -> tuple[Days, Days]:
    """Give the days of a preset, and those to compare them with.

    These are as many days right before, and for a week, month, quarter or year the whole one before.
    """
    whose, _, unit = preset.partition("_")
    tomorrow = today + timedelta(days=1)
    if preset == "yesterday":
        days = Days(today - timedelta(days=1), today)
        return days, days.before
    if unit not in {"week", "month", "quarter", "year"}:
        number = 1 if preset == "today" else int(unit.removesuffix("_days"))
        days = Days(tomorrow - timedelta(days=number), tomorrow)
        return days, days.before
    start = _start(today, unit)
    last = Days(_start(start - timedelta(days=1), unit), start)
    if whose == "this":
        return Days(start, tomorrow), last
    return last, Days(_start(last.start - timedelta(days=1), unit), last.start)


def _start(day: date, unit: str) -> date:
    """The first day of the week, month, quarter or year that the day is in."""
    if unit == "week":
        return day - timedelta(days=day.weekday())
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def _next(day: date, granularity: Granularity) -> date:
    """The first day of the next period."""
    if granularity == "week":
        return day + timedelta(days=7 - day.weekday())
    if granularity == "month":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=1)
