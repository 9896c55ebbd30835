"""What the CSAT tab shows, as its address says it: the days, what they are filtered by, the order, the page.

The address holds all of it and nothing else does, so a view can be kept, sent to somebody and gone back to.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal, cast, get_args
from urllib.parse import urlencode

from litestar.datastructures import MultiDict

from services.reports.asked import Asked, Attribution, Search, Tenant
from services.reports.chart import Measure
from services.reports.days import PRESETS, Days, Granularity, Preset, WrongDays, days_between, preset_days
from services.reports.formats import label
from services.reports.satisfaction import SCORES, Scores
from shared.contracts.event import MAX_ID_LENGTH
from shared.contracts.ticket import Priority

Sort = Literal["csat", "average", "responses", "name"]

DEFAULT: Preset = "last_30_days"
PRESET_NAMES: dict[Preset, str] = {
    "last_7_days": "7 days",
    "last_30_days": "30 days",
    "last_90_days": "90 days",
    "this_month": "This month",
    "this_year": "This year",
}
"""Those with a button."""

OTHER_PRESETS: tuple[Preset, ...] = tuple(preset for preset in PRESETS if preset not in PRESET_NAMES)
"""Those that are in the menu."""

ATTRIBUTIONS: dict[Attribution, tuple[str, str]] = {
    "credited": ("Credited", "A response counts for the ticket’s assignee, else for who replied last."),
    "assignee": ("Assignee", "A response counts for the ticket’s assignee alone."),
    "last_replier": (
        "Last to reply",
        "A response counts for who replied last alone, whoever the ticket was assigned to.",
    ),
}
"""Names, and what they mean."""

MOST_PERIODS = 110
"""That can be told apart beside each other in the trend."""

MAX_SEARCH = 100
"""Characters."""

NAMES = frozenset(
    {
        *("preset", "first", "last", "by", "of", "sort", "agents"),
        *("agent", "priority", "channel", "attribution"),
        *("score", "reason", "q", "commented", "after", "excel"),
    }
)
"""All that an address may name."""

SHOWN_AGENTS = 12
"""At first; a link shows all."""


Chip = tuple[str, str, str]
"""What is filtered, by what, and the address without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view. What the address did not name has its default; `mistakes` are for whoever typed it."""

    days: Days
    compared: Days
    preset: Preset | None
    granularities: tuple[Granularity, ...]
    by: Granularity
    measure: Measure = "average"
    """What the trend is of."""
    sort: Sort = "csat"
    turned: bool = False
    """Whether the order is the other way round: lowest figures first, names from Z to A."""
    every_agent: bool = False
    agent: str | None = None
    is_bound: bool = False
    """Whether the agent is the only one who may be seen."""
    priority: Priority | None = None
    channel: str | None = None
    attribution: Attribution = "credited"
    scores: tuple[int, ...] = ()
    reason: str | None = None
    q: str = ""
    commented: bool = False
    after: str | None = None
    mistakes: tuple[str, ...] = ()

    def asked(self, account: Tenant) -> Asked:
        """Say what all figures are of."""
        return Asked(
            account,
            self.days,
            self.agent,
            priorities=(self.priority,) if self.priority else (),
            channels=(self.channel,) if self.channel else (),
            attribution=self.attribution,
            compared_with=self.compared,
        )

    @property
    def search(self) -> Search:
        """Say which responses are listed."""
        return Search(scores=self.scores, reason=self.reason, commented=self.commented, text=self.q)

    @property
    def without_search(self) -> "View":
        """The view of who may read no responses."""
        return replace(self, scores=(), reason=None, q="", commented=False)

    def to(self, *, path: str = "/csat", **changes: Any) -> str:
        """Write the address of this view with something changed; None takes a part away. A page goes on from none."""
        parameters = {**self.parameters, **({} if "after" in changes else {"after": None}), **changes}
        given = [(name, value) for name, value in parameters.items() if value not in (None, "", ())]
        return path + ("?" + urlencode(given, doseq=True) if given else "")

    @property
    def parameters(self) -> dict[str, Any]:
        """What the address of this view names: no defaults."""
        days = (
            {"preset": self.preset if self.preset != DEFAULT else None}
            if self.preset
            else {"first": self.days.start, "last": self.days.last}
        )
        return {
            **days,
            "by": self.by if self.by != _fitting(self.days) else None,
            "of": self.measure if self.measure != "average" else None,
            "agent": None if self.is_bound else self.agent,
            "priority": self.priority,
            "channel": self.channel,
            "attribution": self.attribution if self.attribution != "credited" else None,
            "sort": self.sorted_by(self.sort, turned=self.turned),
            "agents": "all" if self.every_agent else None,
            "score": self.scores,
            "reason": self.reason,
            "q": self.q,
            "commented": "yes" if self.commented else None,
            "after": self.after,
        }

    def drill(self, **changes: Any) -> str:
        """Write the address of what a bar or a row counts: its number is of all responses, whichever are listed."""
        return self.to(**{"score": None, "reason": None, "q": None, "commented": None, **changes})

    def within(self, days: Days) -> str:
        """Write the address of all responses on some of the days."""
        return self.drill(preset=None, first=days.start, last=days.last, by=None)

    def listed(self, scores: Scores) -> int | None:
        """Tell how many of these responses are listed, page by page; None where that would have to be counted."""
        if self.reason or self.q or self.commented:
            return None
        return sum(scores.counts[score - 1] for score in self.scores or SCORES)

    def longer(self, today: date) -> Preset | None:
        """Name a range that begins earlier, for who finds nothing in this one."""
        longer: tuple[Preset, ...] = ("last_90_days", "this_year", "last_year")
        return next((preset for preset in longer if preset_days(preset, today)[0].start < self.days.start), None)

    def toggling(self, score: int) -> str:
        """Write the address with a score more, or less if it is there."""
        return self.to(score=tuple(sorted({score} ^ set(self.scores))))

    def chips(self, agent_name: str | None) -> list[Chip]:
        """List what all figures are filtered by."""
        found = [
            ("Days", None if self.preset else self.days.text, self.to(first=None, last=None, by=None)),
            ("Agent", None if self.is_bound else agent_name, self.to(agent=None)),
            ("Priority", self.priority and label(self.priority), self.to(priority=None)),
            ("Channel", self.channel and label(self.channel), self.to(channel=None)),
            (
                "Agents",
                ATTRIBUTIONS[self.attribution][0] if self.attribution != "credited" else None,
                self.to(attribution=None),
            ),
        ]
        return [(what, value, without) for what, value, without in found if value]

    @property
    def response_chips(self) -> list[Chip]:
        """List what the responses are filtered by besides."""
        found = [
            ("Score", ", ".join(map(str, self.scores)), self.to(score=None)),
            ("Reason", self.reason and label(self.reason), self.to(reason=None)),
            ("Text", self.q, self.to(q=None)),
            ("Only", "with a comment" if self.commented else None, self.to(commented=None)),
        ]
        return [(what, value, without) for what, value, without in found if value]

    @staticmethod
    def sorted_by(sort: Sort, *, turned: bool) -> str | None:
        """Write an order as the address does: `average`, or `-average` for the lowest first."""
        return None if (sort, turned) == ("csat", False) else f"-{sort}" if turned else sort

    def fields(self, *without: str) -> list[tuple[str, Any]]:
        """List what a form has to repeat to stay in this view."""
        return [
            (name, one)
            for name, value in self.parameters.items()
            if name not in (*without, "after") and value not in (None, "", ())
            for one in (value if isinstance(value, tuple) else (value,))
        ]


def view_of(query: MultiDict[str], today: date, *, only: str | None = None) -> View:
    """Read an address. What makes no sense is left out, and told. `only` is the one agent who may be seen, if any."""
    mistakes: list[str] = []

    def known(name: str, words: Iterable[str]) -> Any:
        value = query.get(name) or None
        if value is not None and value not in words:
            mistakes.append(f"The address names an unknown {name}, which is left out.")
            return None
        return value

    def text(name: str, longest: int = MAX_ID_LENGTH) -> str | None:
        value = (query.get(name) or "").strip() or None
        if value is not None and (len(value) > longest or not value.isprintable()):
            mistakes.append(f"The address names an impossible {name}, which is left out.")
            return None
        return value

    for name in dict.fromkeys(query):
        if name not in NAMES:
            mistakes.append(f"The address names an unknown {name[:50]}, which is left out.")
        elif name != "score" and len(query.getall(name)) > 1:
            mistakes.append(f"The address names more than one {name}; the others are left out.")

    try:
        preset, days, compared = _days(query, known("preset", PRESETS), today)
    except WrongDays as wrong:
        mistakes.append(f"{wrong} Here are the last 30 days.")
        preset, (days, compared) = DEFAULT, preset_days(DEFAULT, today)
    by = known("by", get_args(Granularity))
    sort = known("sort", [sign + name for name in get_args(Sort) for sign in ("", "-")]) or "csat"
    scores = [score for score in SCORES if str(score) in query.getall("score", [])]
    if len(scores) < len(set(query.getall("score", [])) - {""}):
        mistakes.append("The address names an unknown score, which is left out.")
    granularities = tuple(name for name in get_args(Granularity) if len(days.periods(name)) <= MOST_PERIODS)
    return View(
        days=days,
        compared=compared,
        preset=preset,
        granularities=granularities,
        by=by if by in granularities else _fitting(days),
        measure=known("of", get_args(Measure)) or "average",
        sort=cast(Sort, sort.removeprefix("-")),
        turned=sort.startswith("-"),
        every_agent=known("agents", ("all",)) is not None,
        agent=only or text("agent"),
        is_bound=only is not None,
        priority=known("priority", get_args(Priority)),
        channel=text("channel"),
        attribution=known("attribution", get_args(Attribution)) or "credited",
        scores=tuple(scores),
        reason=text("reason"),
        q=text("q", MAX_SEARCH) or "",
        commented=known("commented", ("yes",)) is not None,
        after=text("after"),
        mistakes=tuple(mistakes),
    )


def _days(query: MultiDict[str], preset: Preset | None, today: date) -> tuple[Preset | None, Days, Days]:
    """Read `first` and `last`, both of them in, or else a preset. Raises WrongDays."""
    if not query.get("first") and not query.get("last"):
        return preset or DEFAULT, *preset_days(preset or DEFAULT, today)
    try:
        first, last = (date.fromisoformat(query[name]) if query.get(name) else None for name in ("first", "last"))
        end = last + timedelta(days=1) if last else None
    except (ValueError, OverflowError):
        raise WrongDays("start", "Please write days like 2026-03-31.") from None
    days = days_between(first, end, today=today)
    return None, days, days.before


def _fitting(days: Days) -> Granularity:
    return "day" if days.count <= 45 else "week" if days.count <= 400 else "month"
