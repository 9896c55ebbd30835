"""A view and its address: each says all of the other."""

from dataclasses import fields
from datetime import date, timedelta
from typing import get_args
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.datastructures import MultiDict

from services.reports.asked import Attribution
from services.reports.days import PRESETS, Days
from services.reports.view import MOST_PERIODS, Sort, View, view_of
from shared.contracts.ticket import Priority

TODAY = date(2026, 3, 2)


def at(address: str, *, only: str | None = None) -> View:
    """Read an address."""
    return view_of(MultiDict(parse_qsl(urlsplit(address).query)), TODAY, only=only)


_ids = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
_parameters = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from(PRESETS),
        "by": st.sampled_from(["day", "week", "month"]),
        "sort": st.sampled_from([sign + name for sign in ("", "-") for name in get_args(Sort)]),
        "agents": st.just("all"),
        "agent": _ids,
        "priority": st.sampled_from(get_args(Priority)),
        "channel": _ids,
        "attribution": st.sampled_from(get_args(Attribution)),
        "score": st.sets(st.integers(1, 5), min_size=1).map(lambda scores: tuple(sorted(scores))),
        "reason": _ids,
        "q": _ids,
        "commented": st.just("yes"),
        "after": _ids,
    },
)


@given(_parameters)
def test_the_address_of_a_view_opens_that_view(parameters: dict) -> None:
    """So that it can be kept and sent: nothing of a view is anywhere else."""
    view = at(at("/csat").to(**parameters))

    assert view.mistakes == ()
    assert at(view.to(after=view.after)) == view
    assert at(view.to()) == at(view.to(after=None))


def test_the_default_view_has_a_short_address() -> None:
    """Nobody is shown what they did not choose."""
    assert at("/csat").to() == "/csat"
    assert at("/csat?preset=last_30_days&by=day&sort=csat&attribution=credited").to() == "/csat"


def test_whatever_else_is_chosen_begins_at_the_newest_responses() -> None:
    """A page of another list would be nobody's."""
    view = at("/csat?after=s-9&score=1")

    assert view.to(agent="ada") == "/csat?agent=ada&score=1"
    assert view.to(after="s-4") == "/csat?score=1&after=s-4"
    assert ("after", "s-9") not in view.fields()


def test_chosen_days_and_a_preset_take_each_others_place() -> None:
    """Of two answers to one question, the one that was given last."""
    view = at("/csat?first=2026-02-10&last=2026-02-11&priority=high")

    assert view.days == Days(date(2026, 2, 10), date(2026, 2, 12))
    assert view.compared == Days(date(2026, 2, 8), date(2026, 2, 10))
    assert view.to(preset="last_7_days", first=None, last=None) == "/csat?priority=high&preset=last_7_days"
    assert at("/csat?preset=last_7_days").within(view.days) == "/csat?first=2026-02-10&last=2026-02-11"


def test_a_score_is_a_switch() -> None:
    """Once for more, twice for less."""
    assert at("/csat?score=2").toggling(1) == "/csat?score=1&score=2"
    assert at("/csat?score=1&score=2").toggling(1) == "/csat?score=2"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("priority=foo", "priority"),
        ("attribution=me", "attribution"),
        ("preset=soon", "preset"),
        ("by=hour", "by"),
        ("sort=worst", "sort"),
        ("agents=some", "agents"),
        ("commented=no", "commented"),
        ("score=6", "score"),
        ("score=1&score=x", "score"),
        ("agent=%00", "agent"),
        ("channel=" + "x" * 200, "channel"),
        ("q=" + "x" * 101, "q"),
    ],
)
def test_what_cannot_be_is_left_out_and_told(query: str, name: str) -> None:
    """Figures of all that look as if they were filtered would mislead."""
    view = at(f"/csat?{query}")

    (mistake,) = view.mistakes
    assert name in mistake
    assert "x" * 50 not in mistake
    whole = at("/csat") if query != "score=1&score=x" else at("/csat?score=1")
    assert all(
        getattr(view, each.name) == getattr(whole, each.name) for each in fields(View) if each.name != "mistakes"
    )


@pytest.mark.parametrize(
    ("count", "by"), [(1, "day"), (45, "day"), (46, "week"), (400, "week"), (401, "month"), (1827, "month")]
)
def test_a_longer_range_has_longer_periods(count: int, by: str) -> None:
    """So that a phone can show them beside each other. Others can be chosen as long as they can be told apart."""
    first = TODAY - timedelta(days=count - 1)
    view = at(f"/csat?first={first}&last={TODAY}")

    assert view.by == by
    assert view.by in view.granularities
    assert all(len(view.days.periods(name)) <= MOST_PERIODS for name in view.granularities)
    assert at(f"/csat?first={first}&last={TODAY}&by=day").by == ("day" if count <= MOST_PERIODS else by)


def test_who_may_see_one_agent_sees_no_other() -> None:
    """Whatever the address says; and their own addresses do not repeat what goes without saying."""
    view = at("/csat?agent=ben", only="ada")

    assert view.agent == view.asked("acme").agent_id == "ada"
    assert view.to() == "/csat"
    assert view.chips("Ada Okafor") == []
