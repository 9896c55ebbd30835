"""SELECTs with names. Statements are put together once for each Shape.

Figures are sums over a rollup, the smallest that knows what is asked for. Ratings are read where one of them is shown,
by an index.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Date,
    DateTime,
    Integer,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on

from services.reports.asked import Asked, Search, SearchShape, Shape, finds
from services.reports.rollup import COUNTS
from services.reports.satisfaction import SCORES, Scores
from services.reports.tables import Rating
from shared.chassis.prepared import Pool, Prepared, Row
from shared.chassis.tenancy import WHOSE, seen

Dimension = Literal["priority", "channel"]


def _sums(counts: tuple[str, ...]) -> list[ColumnElement[int]]:
    """Name sums of a rollup's counts."""
    return [literal_column(f"coalesce(sum({count}), 0)", Integer).label(count) for count in counts]


_SCORES = tuple(f"score_{score}" for score in SCORES)
_RATING = tuple(Rating.__table__.columns)
_PLACE = (Rating.submitted_day, Rating.submitted_at, Rating.survey_id)
_NEWEST_FIRST = tuple(column.desc() for column in _PLACE)


def scores_of(row: Row) -> Scores:
    """Read the five counts at the end of a row."""
    return Scores(row[-5:])


@cache
def _totals(shape: Shape) -> Prepared:
    table = shape.rollup()
    return Prepared(
        seen(
            union_all(
                *(
                    select(literal_column(str(place)).label("place"), *_sums(COUNTS))
                    .where(shape.covers(table, table.day, before=before))
                    .correlate(WHOSE)
                    for place, before in enumerate((False, True))
                )
            )
        )
    )


async def totals(asked: Asked, pool: Pool) -> tuple[Row, Row]:
    """Add up every count of the rollup: in the range, and in the days before."""
    now, before = sorted(await _totals(asked.shape).rows(pool, asked.values), key=lambda row: row.place)
    return now, before


@cache
def _scores(shape: Shape) -> Prepared:
    table = shape.rollup()
    return Prepared(seen(select(*_sums(_SCORES)).where(shape.covers(table, table.day))))


async def scores(asked: Asked, pool: Pool) -> Row:
    """Count each score."""
    return (await _scores(asked.shape).rows(pool, asked.values))[0]


@cache
def _parts(dimension: Dimension, shape: Shape) -> Prepared:
    table = shape.rollup(dimension)
    by = getattr(table, dimension)
    sums = _sums(("submitted", "pending", "expired", *_SCORES))
    return Prepared(seen(select(by, *sums).where(shape.covers(table, table.day)).group_by(by)))


async def parts(dimension: Dimension, asked: Asked, pool: Pool) -> list[Row]:
    """Count surveys by what became of them, and scores, for each priority or channel.

    It comes first, null for skipped surveys that lack it.
    """
    return await _parts(dimension, asked.shape).rows(pool, asked.values)


@cache
def _scores_by_day(shape: Shape) -> Prepared:
    table = shape.rollup()
    return Prepared(seen(select(table.day, *_sums(_SCORES)).where(shape.covers(table, table.day)).group_by(table.day)))


async def scores_by_day(asked: Asked, pool: Pool) -> list[Row]:
    """Count each score on each day that has surveys or responses."""
    return await _scores_by_day(asked.shape).rows(pool, asked.values)


@cache
def _scores_by_agent(shape: Shape) -> Prepared:
    table = shape.rollup(shape.agent_id)
    agent = getattr(table, shape.agent_id).label("agent_id")
    rated = select(agent, *_sums(_SCORES)).where(shape.covers(table, table.day)).group_by(agent).lateral("rated")
    its, name = getattr(Rating, shape.agent_id), shape.agent_name.label("name")
    if shape.attribution == "credited":
        # An index has each agent's newest response.
        found = select(name).where(shape.answered, its == rated.c.agent_id).order_by(*_NEWEST_FIRST).limit(1)
        newest, joined = found.lateral("newest"), true()
    else:
        # Without one, to look for each agent would be to read the range as often as there are agents.
        found = select(its.label("id"), name).where(shape.answered, its.is_not(None)).order_by(its, *_NEWEST_FIRST)
        newest = found.ext(distinct_on(its)).lateral("newest")
        joined = newest.c.id == rated.c.agent_id
    counts = [rated.c[name] for name in _SCORES]
    return Prepared(
        select(rated.c.agent_id, newest.c.name, *counts)
        .select_from(WHOSE.join(rated, true()).outerjoin(newest, joined))
        .where(sum(counts[1:], start=counts[0]) > 0)
    )


async def scores_by_agent(asked: Asked, pool: Pool) -> list[Row]:
    """Count each score of each agent with a response, by the newest name there; id and name are None for nobody."""
    return await _scores_by_agent(asked.shape).rows(pool, asked.values)


@cache
def _reasons(shape: Shape) -> Prepared:
    count = func.count().label("responses")
    return Prepared(
        seen(
            select(Rating.reason, count)
            .where(shape.covers(Rating, Rating.submitted_day), Rating.reason.is_not(None))  # read in the index alone
            .group_by(Rating.reason)
            .order_by(count.desc(), Rating.reason)
        )
    )


async def reasons(asked: Asked, pool: Pool) -> list[Row]:
    """Count the responses that gave each reason, most frequent first."""
    return await _reasons(asked.shape).rows(pool, asked.values)


def all_responses(asked: Asked, search: Search, columns: tuple[str, ...]) -> tuple[Select, Mapping[str, Any]]:
    """List some columns of every response, newest first: the statement, and its values."""
    found = select(*(getattr(Rating, column) for column in columns)).where(asked.shape.answered, finds(*search.shape))
    return seen(found.order_by(*_NEWEST_FIRST)), asked.values | search.values


@cache
def _responses(shape: Shape, search: SearchShape, *, after: bool) -> Prepared:
    found = select(*_RATING).where(shape.answered, finds(*search))
    if after:
        place = (
            bindparam("after_day", type_=Date),
            bindparam("after_time", type_=DateTime(timezone=True)),
            bindparam("after_id", type_=Text),
        )
        found = found.where(tuple_(*_PLACE) < tuple_(*place))
    return Prepared(seen(found.order_by(*_NEWEST_FIRST).limit(bindparam("limit", type_=Integer))))


async def responses(asked: Asked, pool: Pool, limit: int, *, search: Search, after: Row | None = None) -> list[Row]:
    """List ratings, newest first, those behind `after` in that order."""
    values = asked.values | search.values | {"limit": limit}
    if after is not None:
        values |= {"after_day": after.submitted_day, "after_time": after.submitted_at, "after_id": after.survey_id}
    return await _responses(asked.shape, search.shape, after=after is not None).rows(pool, values)


@cache
def _one(shape: Shape) -> Prepared:
    found = select(*_RATING).where(
        Rating.account_id == WHOSE.c.told,
        Rating.survey_id == bindparam("survey_id", type_=Text),
        Rating.submitted_at.is_not(None),
    )
    if shape.agent:
        found = found.where(getattr(Rating, shape.agent_id) == bindparam("agent_id", type_=Text))
    return Prepared(seen(found))


async def response(asked: Asked, pool: Pool, survey_id: str) -> Row | None:
    """Find a response of the account, and of the agent if one is asked for, whatever its day."""
    found = await _one(asked.shape).rows(pool, asked.values | {"survey_id": survey_id})
    return found[0] if found else None


@cache
def _name_of_agent(shape: Shape) -> Prepared:
    of_them = getattr(Rating, shape.agent_id) == bindparam("agent_id", type_=Text)
    found = select(shape.agent_name.label("name")).where(
        Rating.account_id == WHOSE.c.told, of_them, Rating.submitted_at.is_not(None)
    )
    return Prepared(seen(found.order_by(*_NEWEST_FIRST).limit(1)))


async def name_of_agent(asked: Asked, pool: Pool) -> str | None:
    """Find the name the agent had when they were last rated."""
    found = await _name_of_agent(asked.shape).rows(pool, asked.values)
    return found[0].name if found else None


_ANY_SURVEY = Prepared(seen(select(Rating.survey_id).where(Rating.account_id == WHOSE.c.told).limit(1)))


async def has_surveys(account_id: str, pool: Pool) -> bool:
    """Tell whether the account ever asked anybody."""
    return bool(await _ANY_SURVEY.rows(pool, {"account_id": account_id}))
