"""Reading: each endpoint of the API over HTTP, beside the rollup query it rests on and a count of the raw ratings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any, get_args
from urllib.parse import urlencode

import asyncpg
import msgspec

from services.reports.rollup import COUNTS
from services.reports.satisfaction import Reason, State
from services.reports.terminal import Tell
from tests.benchmarks.data import Account
from tests.benchmarks.measuring import Ratio, Work, side_by_side
from tests.benchmarks.system import Database, Reports

DAYS = (30, 90, 365)
BARE_LIMIT = 3.0
"""What a request may take of the bare query and an empty request together."""

FLAT_LIMIT = 1.5
"""What a request may take with all ratings of what it takes with a tenth."""

WORDS = "twice before it"
"""What responses are searched for."""

ANSWERABLE = ("submitted", "pending", "expired")
"""States of surveys that the response rate is of."""

Rows = Sequence[asyncpg.Record]

# The best that plain SQL can do with the ratings as they are: narrow rows, and indexes that hold all that is asked for.
RAW = """
DROP SCHEMA IF EXISTS raw CASCADE;
CREATE SCHEMA raw;
CREATE TABLE raw.ratings AS
    SELECT account_id, created_day, submitted_day, agent_id, priority, channel, score, reason, state
    FROM ratings ORDER BY account_id, created_at;
CREATE INDEX ON raw.ratings (account_id, submitted_day) INCLUDE (score, agent_id, priority, channel)
    WHERE submitted_day IS NOT NULL;
CREATE INDEX ON raw.ratings (account_id, submitted_day) INCLUDE (reason) WHERE reason IS NOT NULL;
CREATE INDEX ON raw.ratings (account_id, created_day) INCLUDE (state, agent_id, priority, channel);
"""

_SCORE_SUMS = ", ".join(f"sum(score_{score})::int" for score in range(1, 6))
_SCORE_COUNTS = ", ".join(f"count(*) FILTER (WHERE score = {score})::int" for score in range(1, 6))
_STATE_COUNTS = ", ".join(f"count(*) FILTER (WHERE state = '{state}')::int" for state in get_args(State))
_SKIP_COUNTS = ", ".join(f"count(*) FILTER (WHERE reason = '{reason}')::int" for reason in get_args(Reason))
_ASKED = "account_id = $1 AND {day} >= $2::date AND {day} < $3::date"
_BEFORE = "account_id = $1 AND {day} >= $2::date - ($3::date - $2::date) AND {day} < $2::date"
_DAILY, _KINDS = (f"FROM {rollup} WHERE {_ASKED.format(day='day')}" for rollup in ("csat_daily", "csat_kinds"))
_ANSWERED = f"FROM raw.ratings WHERE {_ASKED.format(day='submitted_day')}"
_NEWEST_NAME = f"""
    SELECT agents.*, newest.agent_name FROM ({{counts}}) AS agents LEFT JOIN LATERAL (
        SELECT agent_name FROM ratings
        WHERE {_ASKED.format(day="submitted_day")} AND submitted_at IS NOT NULL AND agent_id = agents.agent_id
        ORDER BY submitted_day DESC, submitted_at DESC, survey_id DESC LIMIT 1
    ) AS newest ON true
"""
_PAGE = f"""
    SELECT * FROM ratings WHERE {_ASKED.format(day="submitted_day")} AND submitted_at IS NOT NULL {{own}}
    ORDER BY submitted_day DESC, submitted_at DESC, survey_id DESC LIMIT 26
"""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An endpoint with two queries that come to the same: over the rollup as bare as can be, and over the ratings.

    Both take account, first day, day after the last, and the value of the filter where there is one. `of_rows` and
    `of_answer` bring rows and the API's answer into one form.
    """

    name: str
    path: str
    rollup: str
    raw: str
    of_rows: Callable[[Rows], Any]
    of_answer: Callable[[Any], Any]
    parameters: dict[str, str]

    def url(self, start: date, end: date) -> str:
        """The address, with the days from `start` to before `end`."""
        return f"/api/v1/csat{self.path}?{urlencode({'from': start, 'to': end, **self.parameters})}"


def _figures(counts: Sequence[int]) -> tuple:
    """Responses, average, CSAT, from how often each score was given."""
    n = sum(counts)
    if not n:
        return 0, None, None
    average = sum(score * count for score, count in enumerate(counts, start=1)) / n
    return n, round(average, 9), round((counts[3] + counts[4]) / n, 9)


def _told(figures: dict) -> tuple:
    """The same, as the API tells it."""
    return figures["responses"], _rounded(figures["average"]), _rounded(figures["csat"]["value"])


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 9)


def _totals(rows: Rows) -> Any:
    """Give the figures of a range, and those it is compared with."""
    (scores, surveys, skipped), (scores_before, surveys_before, _) = map(_counts, sorted(rows, key=lambda row: row[0]))
    return _figures(scores), surveys, skipped, _figures(scores_before)[1:], _rate(surveys_before)


def _counts(row: asyncpg.Record) -> tuple[list[int], dict[str, int], dict[str, int]]:
    counts = {name: count or 0 for name, count in zip(COUNTS, row[1:], strict=True)}
    return (
        [counts[f"score_{score}"] for score in range(1, 6)],
        {state: counts[state] for state in get_args(State)},
        {reason: counts[f"skipped_{reason}"] for reason in get_args(Reason)},
    )


def _rate(surveys: dict[str, int]) -> float | None:
    asked = sum(surveys[state] for state in ANSWERABLE)
    return round(surveys["submitted"] / asked, 9) if asked else None


def _told_totals(answer: dict) -> Any:
    before = [_rounded(answer["previous"][name]["before"]) for name in ("average", "csat", "response_rate")]
    return _told(answer["satisfaction"]), answer["surveys"], answer["skipped"], tuple(before[:2]), before[2]


def _summary(name: str, rollup: str = "csat_kinds", own: str = "", **parameters: str) -> Endpoint:
    sums = ", ".join(f"sum({count})::int" for count in COUNTS)
    ranges = tuple(enumerate((_ASKED, _BEFORE)))
    return Endpoint(
        name=name,
        path="/summary",
        rollup=" UNION ALL ".join(
            f"SELECT {number}, {sums} FROM {rollup} WHERE {days.format(day='day')} {own}" for number, days in ranges
        ),
        raw=" UNION ALL ".join(
            f"SELECT {number}, answered.*, created.*, skipped.* FROM"
            f" (SELECT {_SCORE_COUNTS} FROM raw.ratings WHERE {days.format(day='submitted_day')} {own}) AS answered,"
            f" (SELECT {_STATE_COUNTS} FROM raw.ratings WHERE {days.format(day='created_day')} {own}) AS created,"
            f" (SELECT {_SKIP_COUNTS} FROM skipped_surveys WHERE {days.format(day='skipped_day')} {own}) AS skipped"
            for number, days in ranges
        ),
        of_rows=_totals,
        of_answer=_told_totals,
        parameters=parameters,
    )


def _trend(granularity: str) -> Endpoint:
    period = f"greatest(date_trunc('{granularity}', {{day}})::date, $2::date)"
    return Endpoint(
        name=f"trend by {granularity}",
        path="/trend",
        rollup=f"SELECT {period.format(day='day')} AS period, {_SCORE_SUMS} {_KINDS} GROUP BY period",
        raw=f"SELECT {period.format(day='submitted_day')} AS period, {_SCORE_COUNTS} {_ANSWERED} GROUP BY period",
        of_rows=_by_name,
        of_answer=lambda answer: _told_by_name("from", answer["periods"]),
        parameters={"granularity": granularity},
    )


def _breakdown(dimension: str, several: str) -> Endpoint:
    states = ", ".join(f"sum({state})::int" for state in ANSWERABLE)
    counts = ", ".join(f"count(*) FILTER (WHERE state = '{state}')::int" for state in ANSWERABLE)
    created = f"FROM raw.ratings WHERE {_ASKED.format(day='created_day')}"
    return Endpoint(
        name=several,
        path=f"/{several}",
        rollup=f"SELECT {dimension}, {_SCORE_SUMS}, {states} {_KINDS} GROUP BY {dimension}",
        raw=f"SELECT * FROM (SELECT {dimension}, {_SCORE_COUNTS} {_ANSWERED} GROUP BY {dimension}) AS answered"
        f" LEFT JOIN (SELECT {dimension}, {counts} {created} GROUP BY {dimension}) AS created USING ({dimension})",
        of_rows=lambda rows: {
            row[0]: (
                _figures(row[1:6]),
                _rate({state: count or 0 for state, count in zip(ANSWERABLE, row[6:], strict=True)}),
            )
            for row in rows
            if sum(row[1:6])
        },
        of_answer=lambda answer: {
            each[dimension]: (_told(each["satisfaction"]), _rounded(each["response_rate"]["value"]))
            for each in answer[several]
            if each["satisfaction"]["responses"]
        },
        parameters={},
    )


def _by_name(rows: Rows) -> dict[str, tuple]:
    return {str(row[0]): _figures(row[1:]) for row in rows if sum(row[1:])}


def _told_by_name(name: str, told: Sequence[dict]) -> dict[str, tuple]:
    return {each[name]: _told(each["satisfaction"]) for each in told if each["satisfaction"]["responses"]}


def _page(name: str, own: str = "", **parameters: str) -> Endpoint:
    query = _PAGE.format(own=own)
    return Endpoint(
        name=name,
        path="/responses",
        rollup=query,
        raw=query,
        of_rows=lambda rows: [(row["survey_id"], row["score"]) for row in rows[:25]],
        of_answer=lambda answer: [(each["survey_id"], each["score"]) for each in answer["responses"]],
        parameters=parameters,
    )


def endpoints(account: Account) -> list[Endpoint]:
    """List what is asked of an account."""
    agent = account.agents[3][0]
    found = " OR ".join(f"{column} ILIKE '%{WORDS}%'" for column in ("comment", "subject", "requester_name"))
    return [
        _summary("summary"),
        Endpoint(
            name="distribution",
            path="/distribution",
            rollup=f"SELECT {_SCORE_SUMS} {_KINDS}",
            raw=f"SELECT {_SCORE_COUNTS} {_ANSWERED}",
            of_rows=lambda rows: [count or 0 for count in rows[0]],
            of_answer=lambda answer: [each["responses"] for each in answer["scores"]],
            parameters={},
        ),
        _trend("day"),
        _trend("month"),
        Endpoint(
            name="agents",
            path="/agents",
            rollup=_NEWEST_NAME.format(counts=f"SELECT agent_id, {_SCORE_SUMS} {_DAILY} GROUP BY agent_id"),
            raw=_NEWEST_NAME.format(counts=f"SELECT agent_id, {_SCORE_COUNTS} {_ANSWERED} GROUP BY agent_id"),
            of_rows=lambda rows: {row[0]: (row[6], _figures(row[1:6])) for row in rows if sum(row[1:6])},
            of_answer=lambda answer: {
                each["agent_id"]: (each["name"], _told(each["satisfaction"])) for each in answer["agents"]
            },
            parameters={},
        ),
        _summary("summary of an agent", "csat_daily", own=f"AND agent_id = '{agent}'", agent=agent),
        _summary(
            "summary of urgent email",
            "csat_kinds",
            "AND priority = 'urgent' AND channel = 'email'",
            priority="urgent",
            channel="email",
        ),
        _breakdown("priority", "priorities"),
        _breakdown("channel", "channels"),
        Endpoint(
            name="reasons",
            path="/reasons",
            rollup=f"SELECT reason, count(*) FROM ratings WHERE {_ASKED.format(day='submitted_day')}"
            " AND reason IS NOT NULL GROUP BY reason",
            raw=f"SELECT reason, count(*) {_ANSWERED} AND reason IS NOT NULL GROUP BY reason",
            of_rows=lambda rows: {row[0]: row[1] for row in rows},
            of_answer=lambda answer: {each["reason"]: each["responses"] for each in answer["reasons"]},
            parameters={},
        ),
        _page("responses"),
        _page("responses of an agent", f"AND agent_id = '{agent}'", agent=agent),
        _page("responses with one star", "AND score = 1", score="1"),
        _page("responses with some words", f"AND ({found})", q=WORDS),
    ]


@dataclass(frozen=True)
class Read:
    """What one request took, by contender, round by round."""

    endpoint: Endpoint
    days: int
    seconds: dict[str, list[float]]

    @property
    def bare(self) -> Ratio:
        """Compare the request with its bare query and an empty request."""
        bare = [query + empty for query, empty in zip(self.seconds["rollup"], self.seconds["empty"], strict=True)]
        return Ratio.of(self.seconds["http"], bare)

    @property
    def kept(self) -> bool:
        """Whether it is within BARE_LIMIT."""
        return self.bare.middle <= BARE_LIMIT

    @property
    def is_flat(self) -> bool:
        """Whether it is within FLAT_LIMIT."""
        return self._over_a_tenth("http").middle <= FLAT_LIMIT

    def _over_a_tenth(self, name: str) -> Ratio:
        return Ratio.of(self.seconds[name], self.seconds[f"{name}, tenth"])

    @property
    def name(self) -> str:
        """Name the request."""
        return f"{self.endpoint.name}, {self.days} days"

    @property
    def row(self) -> list[str]:
        """Write it as a line of the first table."""
        raw = Ratio.of(self.seconds["raw"], self.seconds["rollup"])
        times = [f"{median(self.seconds[name]) * 1000:.2f}" for name in ("http", "rollup", "empty", "raw")]
        return [self.name, str(self.bare), "yes" if self.kept else "NO", str(raw), *times]

    @property
    def flat_row(self) -> list[str]:
        """Write it as a line of the second table."""
        http, raw = self._over_a_tenth("http"), self._over_a_tenth("raw")
        return [self.name, str(http), "yes" if self.is_flat else "NO", str(raw)]


READ_COLUMNS = ("request", "HTTP : bare", "≤ 3", "raw : rollup", "HTTP ms", "rollup ms", "empty ms", "raw ms")
FLAT_COLUMNS = ("request", "HTTP, all : a tenth", "≤ 1.5", "raw, all : a tenth")


class Disagreement(AssertionError):
    """The API, the rollup and the ratings do not say the same."""


async def prepare_raw(database: Database) -> None:
    """Make the raw side, and give every table the planner's statistics and the map that index-only scans go by."""
    await database.admin.execute(RAW)
    for table in await database.admin.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace IN ('raw'::regnamespace, 'public'::regnamespace)"
    ):
        await database.admin.execute(f"VACUUM (ANALYZE) {table[0]}")


@dataclass(frozen=True)
class Side:
    """A database with the service that reads it."""

    database: Database
    reports: Reports
    account: Account
    key: str
    end: date
    """Tomorrow, as the account has it."""

    @classmethod
    async def of(cls, database: Database, reports: Reports, account: Account, until: datetime) -> "Side":
        """Bring a key."""
        end = until.astimezone(account.zone).date() + timedelta(days=1)
        return cls(database, reports, account, await database.key(account.account_id), end)

    async def contenders(self, endpoint: Endpoint, days: int) -> dict[str, Work]:
        """Give what is to be compared. Raises Disagreement when the API tells something else than the ratings."""
        await self.database.admin.execute("DELETE FROM rate_limit_buckets")  # so often nobody may ask in earnest
        start = self.end - timedelta(days=days)
        url = endpoint.url(start, self.end)
        rollup, raw = [await self.database.admin.prepare(query) for query in (endpoint.rollup, endpoint.raw)]
        values = self.account.account_id, start, self.end

        async def ask() -> bytes:
            return self.reports.get(url, self.key)

        async def ask_nothing() -> bytes:
            return self.reports.get("/health/live")

        said = {
            "API": endpoint.of_answer(msgspec.json.decode(await ask())),
            "rollup": endpoint.of_rows(await rollup.fetch(*values)),
            "ratings": endpoint.of_rows(await raw.fetch(*values)),
        }
        if not said["API"] == said["rollup"] == said["ratings"]:
            raise Disagreement(f"{endpoint.name}, {days} days: {said}")
        return {
            "http": ask,
            "rollup": lambda: rollup.fetch(*values),
            "empty": ask_nothing,
            "raw": lambda: raw.fetch(*values),
        }


async def read(everything: Side, tenth: Side, rounds: int, tell: Tell) -> list[Read]:
    """Measure every endpoint over all ratings and over a tenth of them, in turns. Raises Disagreement."""
    asked = [(endpoint, days) for endpoint in endpoints(everything.account) for days in DAYS]
    found = []
    for number, (endpoint, days) in enumerate(asked):
        tell("Asking", number, len(asked), "requests")
        contenders = await everything.contenders(endpoint, days)
        fewer = await tenth.contenders(endpoint, days)
        contenders |= {"http, tenth": fewer["http"], "raw, tenth": fewer["raw"]}
        seconds = await side_by_side(contenders, rounds)
        found.append(Read(endpoint, days, seconds))
    return found
