"""Ratings as a busy help desk has them: accounts of different sizes, few agents with much work, most people content."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from services.reports.tables import Rating
from shared.contracts import AccountUpdated, Agent, Survey, SurveyCreated, SurveyExpired, SurveySubmitted
from shared.contracts.survey import ReasonGiven, SurveyEvent
from tests.builders import an_account

YEARS = timedelta(days=730)
BATCH = 10_000
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC", "Australia/Sydney", "America/Sao_Paulo")
REASONS = ("slow", "unsolved", "unclear", "unfriendly", "other")
_WORDS = ("the", "answer", "came", "soon", "and", "it", "helped", "but", "I", "had", "to", "ask", "twice", "before")
_TEXT = " ".join(random.Random(1).choices(_WORDS, k=2500))

COLUMNS = tuple(column.name for column in Rating.__table__.columns if column.computed is None)
"""Of the table of ratings, as far as somebody writes them."""

Rows = dict[str, list[Any]]
"""Ratings by column."""


@dataclass(frozen=True)
class Account:
    """An account, how much of the work it has, and who does it there."""

    account_id: str
    zone: ZoneInfo
    weight: float
    agents: tuple[tuple[str, str], ...]
    """Ids and names."""

    @property
    def told(self) -> AccountUpdated:
        """What the help desk says of it."""
        return an_account(account_id=self.account_id, name=self.account_id.title(), time_zone=self.zone.key)


def accounts(count: int) -> list[Account]:
    """Make accounts, the largest first: of 50 it has 15 % of all ratings, and the smallest 0.7 %."""
    dice = random.Random(count)
    some = []
    for number in range(count):
        agents = [(f"a-{number}-{agent}", f"Agent {agent} of {number}") for agent in range(dice.randint(20, 60))]
        zone = ZoneInfo(ZONES[number % len(ZONES)])
        some.append(Account(f"account-{number:02}", zone, (number + 1) ** -0.8, tuple(agents)))
    return some


def ratings(count: int, of: Sequence[Account], until: datetime, *, seed: int) -> Iterator[Rows]:
    """Make so many, oldest first, over two years, in batches. Each seed makes others."""
    dice = random.Random(seed)
    weights = list(accumulate(account.weight for account in of))
    for start in range(0, count, BATCH):
        numbers = range(start, min(count, start + BATCH))
        created = [until - YEARS + YEARS * (number / count) for number in numbers]
        # Ids grow with time as UUIDs of version 7 do: the milliseconds come first.
        ids = [
            f"{(stamp := int(at.timestamp() * 1000)) >> 16:08x}-{stamp & 0xFFFF:04x}-7{seed:03x}-8000-{number:012x}"
            for at, number in zip(created, numbers, strict=True)
        ]
        yield _batch(dice, dice.choices(of, cum_weights=weights, k=len(numbers)), ids, created, until)


def _batch(dice: random.Random, of: list[Account], ids: list[str], created: list[datetime], until: datetime) -> Rows:
    roll, size = dice.random, len(ids)
    credited = [
        account.agents[int(len(account.agents) * roll() ** 1.6)] if roll() > 0.03 else (None, None) for account in of
    ]
    answered = [at + timedelta(seconds=300 / (roll() + 0.001)) if roll() < 0.7 else None for at in created]
    answered = [at if at and at < until else None for at in answered]
    scores = dice.choices((1, 2, 3, 4, 5), cum_weights=(7, 12, 20, 38, 100), k=size)
    ends = dice.choices(("unanswered", "reopened", "undeliverable"), cum_weights=(80, 93, 100), k=size)
    late = until - timedelta(days=14)
    ended = [None if done or at > late else at + timedelta(days=14) for at, done in zip(created, answered, strict=True)]
    requesters = dice.choices(range(100_000), k=size)
    rows: Rows = {
        "account_id": [account.account_id for account in of],
        "survey_id": ids,
        "ticket_id": [f"T-{survey_id}" for survey_id in ids],
        "subject": [_TEXT[start : start + 20 + start % 40] for start in dice.choices(range(7000), k=size)],
        "requester_name": [f"Requester {number}" for number in requesters],
        "requester_id": [f"c-{number}" for number in requesters],
        "agent_id": [agent for agent, _ in credited],
        "agent_name": [name for _, name in credited],
        "assignee_id": [agent for agent, _ in credited],
        "assignee_name": [name for _, name in credited],
        "priority": dice.choices(("low", "normal", "high", "urgent"), cum_weights=(20, 80, 95, 100), k=size),
        "channel": dice.choices(("email", "portal", "chat", "phone"), cum_weights=(55, 75, 92, 100), k=size),
        "created_at": created,
        "created_day": [at.astimezone(account.zone).date() for at, account in zip(created, of, strict=True)],
        "score": [score if done else None for score, done in zip(scores, answered, strict=True)],
        "comment": [None if done is None else _comment(roll) for done in answered],
        "reason": [
            REASONS[int(5 * roll())] if done and score < 3 and roll() < 0.6 else None
            for score, done in zip(scores, answered, strict=True)
        ],
        "submitted_at": answered,
        "submitted_day": [
            done and done.astimezone(account.zone).date() for done, account in zip(answered, of, strict=True)
        ],
        "expired_reason": [end if at else None for end, at in zip(ends, ended, strict=True)],
        "expired_at": ended,
    }
    # In four of five tickets who has it also wrote last.
    others = [agent if roll() < 0.8 else account.agents[0] for agent, account in zip(credited, of, strict=True)]
    rows["last_replier_id"] = [agent for agent, _ in others]
    rows["last_replier_name"] = [name for _, name in others]
    return rows


def _comment(roll: Any) -> str:
    """A third write something: mostly a sentence, now and then up to 2,000 characters."""
    if (luck := roll()) > 0.35:
        return ""
    start = int(roll() * 7000)
    return _TEXT[start : start + min(2000, int(12 / (luck + 0.004)))]


def records(rows: Rows) -> list[tuple[Any, ...]]:
    """Write ratings as COPY takes them, in the order of COLUMNS."""
    return list(zip(*(rows[column] for column in COLUMNS), strict=True))


def events(rows: Rows) -> Iterator[SurveyEvent]:
    """Tell of ratings as surveys does: each was created, and most were answered or ended otherwise."""
    for values in zip(*rows.values(), strict=True):
        row = dict(zip(rows, values, strict=True))
        yield SurveyCreated(account_id=row["account_id"], survey=_survey(row))
        if last := outcome(row):
            yield last


def outcomes(rows: Rows) -> Iterator[SurveyEvent]:
    """Tell of each rating in one event, what became of it: the whole survey is in there, too."""
    for values in zip(*rows.values(), strict=True):
        row = dict(zip(rows, values, strict=True))
        yield outcome(row) or SurveyCreated(account_id=row["account_id"], survey=_survey(row))


def outcome(row: dict[str, Any]) -> SurveyEvent | None:
    """Tell what became of a survey; nothing while it is open."""
    account_id = row["account_id"]
    if row["submitted_at"]:
        return SurveySubmitted(
            account_id=account_id,
            survey=_survey(row),
            score=row["score"],
            comment=row["comment"],
            submitted_at=row["submitted_at"],
            reason=ReasonGiven(code=row["reason"], text=row["reason"].title()) if row["reason"] else None,
        )
    if row["expired_at"]:
        return SurveyExpired(
            account_id=account_id, survey=_survey(row), reason=row["expired_reason"], expired_at=row["expired_at"]
        )
    return None


def _survey(row: dict[str, Any]) -> Survey:
    people = {
        name: Agent(agent_id=row[f"{name}_id"], name=row[f"{name}_name"], email=f"{row[f'{name}_id']}@desk.example")
        for name in ("agent", "assignee", "last_replier")
        if name in Survey.__dataclass_fields__ and row[f"{name}_id"]
    }
    return Survey(
        survey_id=row["survey_id"],
        ticket_id=row["ticket_id"],
        resolved_version=1,
        subject=row["subject"],
        requester_name=row["requester_name"],
        requester_id=row["requester_id"],
        priority=row["priority"],
        channel=row["channel"],
        created_at=row["created_at"],
        expires_at=row["created_at"] + timedelta(days=14),
        **people,
    )
