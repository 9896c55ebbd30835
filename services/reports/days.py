"""Ranges of whole days, half-open as intervals should be, and the weeks and months they are shown in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

MAX_DAYS = 5 * 365 + 2
"""Five years with two leap days."""

DEFAULT_DAYS = 30
EARLIEST, LATEST = date(2000, 1, 1), date(2999, 12, 31)

Granularity = Literal["day", "week", "month"]


class WrongDays(ValueError):
    """Days that make no range of ours: `end` names the one to blame, the text says why."""

    def __init__(self, end: Literal["start", "end"], text: str) -> None:
        super().__init__(text)
        self.end = end


@dataclass(frozen=True, slots=True)
class Days:
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


def _next(day: date, granularity: Granularity) -> date:
    """The first day of the next period."""
    if granularity == "week":
        return day + timedelta(days=7 - day.weekday())
    if granularity == "month":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=1)
