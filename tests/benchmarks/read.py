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
from tests.benchmarks.data import Account
from tests.benchmarks.measuring import Ratio, Work, side_by_side
from tests.benchmarks.system import Database, Reports

DAYS = (30, 90, 365)
BARE_LIMIT = 3.0
"""What a request may take of the bare query and an empty request together."""

FLAT_LIMIT = 1.5
"""What a request may take with all ratings of what it takes with a tenth."""

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
CREATE INDEX ON raw.ratings (account_id, created_day) INCLUDE (state, agent_id, priority, channel);
"""

_SCORE_SUMS = ", ".join(f"sum(score_{score})::int" for score in range(1, 6))
_SCORE_COUNTS = ", ".join(f"count(*) FILTER (WHERE score = {score})::int" for score in range(1, 6))
_STATE_COUNTS = ", ".join(f"count(*) FILTER (WHERE state = '{state}')::int" for state in get_args(State))
_SKIP_COUNTS = ", ".join(f"count(*) FILTER (WHERE reason = '{reason}')::int" for reason in get_args(Reason))
_ASKED = "account_id = $1 AND {day} >= $2 AND {day} < $3"
_ROLLUP = f"FROM csat_daily WHERE {_ASKED.format(day='day')}"
_ANSWERED = f"FROM raw.ratings WHERE {_ASKED.format(day='submitted_day')}"
_CREATED = f"FROM raw.ratings WHERE {_ASKED.format(day='created_day')}"
_SKIPPED = f"FROM skipped_surveys WHERE {_ASKED.format(day='skipped_day')}"
_NEWEST_NAME = f"""
    SELECT agents.*, newest.agent_name FROM ({{counts}}) AS agents LEFT JOIN LATERAL (
        SELECT agent_name FROM ratings
        WHERE {_ASKED.format(day="submitted_day")} AND submitted_at IS NOT NULL AND agent_id = agents.agent_id
        ORDER BY submitted_day DESC, submitted_at DESC, survey_id DESC LIMIT 1
    ) AS newest ON true
"""
_PAGE = f"""
    SELECT * FROM ratings WHERE {_ASKED.format(day="submitted_day")} AND submitted_at IS NOT NULL {{filtered}}
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
    average, csat = figures["average"], figures["csat"]["value"]
    return figures["responses"], average and round(average, 9), csat if csat is None else round(csat, 9)


def _totals(rows: Rows) -> Any:
    counts = dict(zip(COUNTS, rows[0], strict=True))
    return (
        _figures([counts[f"score_{score}"] or 0 for score in range(1, 6)]),
        {state: counts[state] or 0 for state in get_args(State)},
        {reason: counts[f"skipped_{reason}"] or 0 for reason in get_args(Reason)},
    )


def endpoints(account: Account) -> list[Endpoint]:
    """List what is asked of an account."""
    agent = account.agents[3][0]
    totals_of_answer = lambda answer: (_told(answer["satisfaction"]), answer["surveys"], answer["skipped"])  # noqa: E731
    of_page = lambda answer: [(each["survey_id"], each["score"]) for each in answer["responses"]]  # noqa: E731
    page_of_rows = lambda rows: [(row["survey_id"], row["score"]) for row in rows[:25]]  # noqa: E731

    def summary(name: str, own: str = "", **parameters: str) -> Endpoint:
        sums = ", ".join(f"sum({count})::int" for count in COUNTS)
        return Endpoint(
            name=name,
            path="/summary",
            rollup=f"SELECT {sums} {_ROLLUP} {own}",
            raw=f"SELECT answered.*, created.*, skipped.* FROM (SELECT {_SCORE_COUNTS} {_ANSWERED} {own}) AS answered,"
            f" (SELECT {_STATE_COUNTS} {_CREATED} {own}) AS created,"
            f" (SELECT {_SKIP_COUNTS} {_SKIPPED} {own}) AS skipped",
            of_rows=_totals,
            of_answer=totals_of_answer,
            parameters=parameters,
        )

    def trend(granularity: str) -> Endpoint:
        period = f"greatest(date_trunc('{granularity}', {{day}})::date, $2)"
        return Endpoint(
            name=f"trend by {granularity}",
            path="/trend",
            rollup=f"SELECT {period.format(day='day')} AS period, {_SCORE_SUMS} {_ROLLUP} GROUP BY period",
            raw=f"SELECT {period.format(day='submitted_day')} AS period, {_SCORE_COUNTS} {_ANSWERED} GROUP BY period",
            of_rows=lambda rows: {str(row[0]): _figures(row[1:]) for row in rows if sum(row[1:])},
            of_answer=lambda answer: {
                each["from"]: _told(each["satisfaction"])
                for each in answer["periods"]
                if each["satisfaction"]["responses"]
            },
            parameters={"granularity": granularity},
        )

    def page(name: str, filtered: str = "", **parameters: str) -> Endpoint:
        query = _PAGE.format(filtered=filtered)
        return Endpoint(
            name=name,
            path="/responses",
            rollup=query,
            raw=query,
            of_rows=page_of_rows,
            of_answer=of_page,
            parameters=parameters,
        )

    return [
        summary("summary"),
        Endpoint(
            name="distribution",
            path="/distribution",
            rollup=f"SELECT {_SCORE_SUMS} {_ROLLUP}",
            raw=f"SELECT {_SCORE_COUNTS} {_ANSWERED}",
            of_rows=lambda rows: [count or 0 for count in rows[0]],
            of_answer=lambda answer: [each["responses"] for each in answer["scores"]],
            parameters={},
        ),
        trend("day"),
        trend("month"),
        Endpoint(
            name="agents",
            path="/agents",
            rollup=_NEWEST_NAME.format(counts=f"SELECT agent_id, {_SCORE_SUMS} {_ROLLUP} GROUP BY agent_id"),
            raw=_NEWEST_NAME.format(counts=f"SELECT agent_id, {_SCORE_COUNTS} {_ANSWERED} GROUP BY agent_id"),
            of_rows=lambda rows: {row[0]: (row[6], _figures(row[1:6])) for row in rows if sum(row[1:6])},
            of_answer=lambda answer: {
                each["agent_id"]: (each["name"], _told(each["satisfaction"])) for each in answer["agents"]
            },
            parameters={},
        ),
        summary("summary of an agent", f"AND agent_id = '{agent}'", agent=agent),
        page("responses"),
        page("responses of an agent", f"AND agent_id = '{agent}'", agent=agent),
    ]


@dataclass(frozen=True)
class Read:
    """What one request took, by contender, round by round."""

    endpoint: Endpoint
    days: int
    seconds: dict[str, list[float]]
    bare: Ratio

    @property
    def kept(self) -> bool:
        """Whether it is within BARE_LIMIT."""
        return self.bare.middle <= BARE_LIMIT

    @property
    def row(self) -> list[str]:
        """Write it as a line of the table."""
        times = {name: median(seconds) * 1000 for name, seconds in self.seconds.items()}
        raw = Ratio.of(self.seconds["raw"], self.seconds["rollup"])
        return [
            f"{self.endpoint.name}, {self.days} days",
            str(self.bare),
            "yes" if self.kept else "NO",
            str(raw),
            *(f"{times[name]:.2f}" for name in ("http", "rollup", "empty", "raw")),
        ]


READ_COLUMNS = ("request", "HTTP : bare", "≤ 3", "raw : rollup", "HTTP ms", "rollup ms", "empty ms", "raw ms")


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


class Reader:
    """Asks for the reports of one account in every way, up to today."""

    def __init__(self, database: Database, reports: Reports, account: Account, until: datetime) -> None:
        self._database = database
        self._reports = reports
        self._account = account
        self._end = until.astimezone(account.zone).date() + timedelta(days=1)
        self._key = ""

    async def measure(self, rounds: int) -> list[Read]:
        """Measure every endpoint. Raises Disagreement when one of them tells something else than the ratings."""
        self._key = await self._database.key(self._account.account_id)
        self._reports.reconnect()
        asked = endpoints(self._account)
        return [await self._measure(endpoint, days, rounds) for endpoint in asked for days in DAYS]

    async def _measure(self, endpoint: Endpoint, days: int, rounds: int) -> Read:
        await self._database.admin.execute("DELETE FROM rate_limit_buckets")  # so often nobody may ask in earnest
        start = self._end - timedelta(days=days)
        url = endpoint.url(start, self._end)
        rollup, raw = [await self._database.admin.prepare(query) for query in (endpoint.rollup, endpoint.raw)]
        values = self._account.account_id, start, self._end

        async def ask() -> bytes:
            return self._reports.get(url, self._key)

        async def ask_nothing() -> bytes:
            return self._reports.get("/health/live")

        said = {
            "API": endpoint.of_answer(msgspec.json.decode(await ask())),
            "rollup": endpoint.of_rows(await rollup.fetch(*values)),
            "ratings": endpoint.of_rows(await raw.fetch(*values)),
        }
        if not said["API"] == said["rollup"] == said["ratings"]:
            raise Disagreement(f"{endpoint.name}, {days} days: {said}")
        contenders: dict[str, Work] = {
            "http": ask,
            "rollup": lambda: rollup.fetch(*values),
            "empty": ask_nothing,
            "raw": lambda: raw.fetch(*values),
        }
        seconds = await side_by_side(contenders, rounds)
        bare = [query + empty for query, empty in zip(seconds["rollup"], seconds["empty"], strict=True)]
        return Read(endpoint, days, seconds, Ratio.of(seconds["http"], bare))


def flat(fewer: Sequence[Read], all_of_them: Sequence[Read]) -> list[list[str]]:
    """Compare the same requests at a tenth of the ratings and at all."""
    rows = []
    for before, after in zip(fewer, all_of_them, strict=True):
        http, raw = (Ratio.of(after.seconds[name], before.seconds[name]) for name in ("http", "raw"))
        rows.append(
            [
                f"{after.endpoint.name}, {after.days} days",
                str(http),
                "yes" if http.middle <= FLAT_LIMIT else "NO",
                str(raw),
            ]
        )
    return rows


FLAT_COLUMNS = ("request", "HTTP, all : a tenth", "≤ 1.5", "raw, all : a tenth")
