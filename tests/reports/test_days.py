"""Ranges of days, and how they are cut into weeks and months."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reports.days import PRESETS, Days, Preset, WrongDays, days_between, preset_days

TODAY = date(2026, 3, 2)

some_days = st.builds(
    lambda start, count: Days(start, start + timedelta(days=count)),
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.integers(1, 800),
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, Days(date(2026, 2, 1), date(2026, 3, 3))),
        (date(2026, 2, 20), None, Days(date(2026, 2, 20), date(2026, 3, 3))),
        (None, date(2026, 1, 31), Days(date(2026, 1, 1), date(2026, 1, 31))),
        (date(2026, 1, 1), date(2026, 1, 2), Days(date(2026, 1, 1), date(2026, 1, 2))),
    ],
)
def test_what_is_left_out_is_filled_to_the_last_30_days(start: date | None, end: date | None, expected: Days) -> None:
    """Today is in; 30 days are 30 days."""
    days = days_between(start, end, today=TODAY)

    assert days == expected


@pytest.mark.parametrize(
    ("start", "end", "blamed"),
    [
        (date(2026, 2, 1), date(2026, 2, 1), "end"),
        (date(2026, 2, 2), date(2026, 2, 1), "end"),
        (date(2026, 3, 3), None, "end"),
        (date(2021, 1, 1), date(2026, 1, 3), "start"),
        (date(1999, 12, 31), None, "start"),
        (date.min, None, "start"),
        (None, date.min, "end"),
        (None, date.max, "end"),
        (date.max, None, "start"),
    ],
)
def test_a_range_that_is_none_is_refused(start: date | None, end: date | None, blamed: str) -> None:
    """Empty, reversed, over five years, or at an end of time where the calendar stops."""
    with pytest.raises(WrongDays) as refused:
        days_between(start, end, today=TODAY)

    assert refused.value.end == blamed


def test_five_years_with_two_leap_days_are_a_range() -> None:
    """The limit lets whole years through."""
    assert days_between(date(2020, 1, 1), date(2025, 1, 1), today=TODAY).count == 1827


@given(some_days, st.sampled_from(["day", "week", "month"]))
def test_periods_cover_each_day_of_the_range_once(days: Days, granularity) -> None:
    """No gap, no overlap, nothing outside, and no period that mixes two weeks or two months."""
    periods = days.periods(granularity)

    assert [day for period in periods for day in period.each()] == list(days.each())
    name_of = {
        "day": lambda day: day,
        "week": lambda day: day.isocalendar()[:2],
        "month": lambda day: (day.year, day.month),
    }[granularity]
    names = [{name_of(day) for day in period.each()} for period in periods]
    assert all(len(name) == 1 for name in names)
    assert len({name for (name,) in names}) == len(periods)


def test_weeks_start_on_monday() -> None:
    """As ISO 8601 has it; the first and last may be cut short."""
    # 2026-03-01 is a Sunday.
    weeks = Days(date(2026, 3, 1), date(2026, 3, 11)).periods("week")

    assert weeks == [
        Days(date(2026, 3, 1), date(2026, 3, 2)),
        Days(date(2026, 3, 2), date(2026, 3, 9)),
        Days(date(2026, 3, 9), date(2026, 3, 11)),
    ]


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (date(2026, 3, 2), date(2026, 3, 3), "2 March 2026"),
        (date(2026, 3, 2), date(2026, 3, 9), "2–8 March 2026"),
        (date(2026, 3, 1), date(2026, 4, 1), "March 2026"),
        (date(2026, 2, 28), date(2026, 3, 7), "28 February – 6 March 2026"),
        (date(2025, 12, 30), date(2026, 1, 3), "30 December 2025 – 2 January 2026"),
    ],
)
def test_days_are_written_as_people_write_them(start: date, end: date, text: str) -> None:
    """With the last day in, and nothing said twice."""
    assert Days(start, end).text == text


THURSDAY = date(2026, 11, 26)

RANGES = {
    "today": ("2026-11-26", "2026-11-26", "2026-11-25", "2026-11-25"),
    "yesterday": ("2026-11-25", "2026-11-25", "2026-11-24", "2026-11-24"),
    "last_7_days": ("2026-11-20", "2026-11-26", "2026-11-13", "2026-11-19"),
    "last_30_days": ("2026-10-28", "2026-11-26", "2026-09-28", "2026-10-27"),
    "last_90_days": ("2026-08-29", "2026-11-26", "2026-05-31", "2026-08-28"),
    "this_week": ("2026-11-23", "2026-11-26", "2026-11-16", "2026-11-22"),
    "last_week": ("2026-11-16", "2026-11-22", "2026-11-09", "2026-11-15"),
    "this_month": ("2026-11-01", "2026-11-26", "2026-10-01", "2026-10-31"),
    "last_month": ("2026-10-01", "2026-10-31", "2026-09-01", "2026-09-30"),
    "this_quarter": ("2026-10-01", "2026-11-26", "2026-07-01", "2026-09-30"),
    "last_quarter": ("2026-07-01", "2026-09-30", "2026-04-01", "2026-06-30"),
    "this_year": ("2026-01-01", "2026-11-26", "2025-01-01", "2025-12-31"),
    "last_year": ("2025-01-01", "2025-12-31", "2024-01-01", "2024-12-31"),
}
"""On that day: first and last day, first and last day before."""


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_days_and_those_before(preset: Preset) -> None:
    """So many days are compared with as many; what the calendar cuts, with the whole one before."""
    found = preset_days(preset, THURSDAY)

    assert tuple(str(day) for days in found for day in (days.start, days.last)) == RANGES[preset]


@given(st.sampled_from(PRESETS), st.dates(date(2002, 1, 1), date(2998, 12, 31)))
def test_a_preset_is_a_range_that_may_be_asked_for_on_any_day(preset: Preset, today: date) -> None:
    """Also on the first and the last day of a year, and on 29 February."""
    days, before = preset_days(preset, today)

    assert days_between(days.start, days.end, today=today) == days
    assert before.start < before.end == days.start
