"""What reports keeps: a row for each survey, for each one that was not sent, what they come to, and keys."""

from datetime import date
from typing import Annotated

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.chassis.database import NAMES, Timestamp
from shared.contracts.survey import MAX_COMMENT_LENGTH
from shared.public_pages.api_keys import ApiKeyColumns
from shared.public_pages.branding import BrandedAccount
from shared.public_pages.erasure import ErasureColumns
from shared.public_pages.rate_limits import BucketColumns


class Table(DeclarativeBase):
    """Base of this service's own tables."""

    metadata = MetaData(naming_convention=NAMES)


class Account(BrandedAccount, Table):
    """An account, whose days the reports count in."""

    __tablename__ = "accounts"


class Rating(Table):
    """One survey and what became of it.

    Each kind of event writes columns of its own, and `state` is computed from them, so that the order in which the
    events arrive cannot matter: an answer wins over an expiry because of what it is, not because of when it came.

    Days are dates in the account's time zone as it was when the event was written. A later change of zone moves none.

    `agent_id` is the credited agent: the assignee, else who replied last, else nobody. Surveys of an older release know
    no other of the three.
    """

    __tablename__ = "ratings"
    __table_args__ = (
        CheckConstraint("score BETWEEN 1 AND 5", name="score_in_range"),
        CheckConstraint(f"char_length(comment) <= {MAX_COMMENT_LENGTH}", name="comment_fits"),
        CheckConstraint(
            "expired_reason IN ('unanswered', 'reopened', 'undeliverable', 'skipped')", name="expired_reason_is_known"
        ),
        CheckConstraint("(agent_id IS NULL) = (agent_name IS NULL)", name="agent_has_a_name"),
        CheckConstraint("(assignee_id IS NULL) = (assignee_name IS NULL)", name="assignee_has_a_name"),
        CheckConstraint("(last_replier_id IS NULL) = (last_replier_name IS NULL)", name="last_replier_has_a_name"),
        CheckConstraint(
            "(submitted_at IS NULL) = (score IS NULL)"
            " AND (submitted_at IS NULL) = (submitted_day IS NULL)"
            " AND (submitted_at IS NULL) = (comment IS NULL)"
            " AND (expired_at IS NULL) = (expired_reason IS NULL)",
            name="state_has_its_facts",
        ),
        # Responses in their order, newest last: everybody's, and one agent's.
        Index(
            "ix_ratings_submitted",
            "account_id",
            "submitted_day",
            "submitted_at",
            "survey_id",
            postgresql_where=text("submitted_at IS NOT NULL"),
        ),
        Index(
            "ix_ratings_submitted_by_agent",
            "account_id",
            "agent_id",
            "submitted_day",
            "submitted_at",
            "survey_id",
            postgresql_where=text("submitted_at IS NOT NULL"),
        ),
        Index(
            "ix_ratings_reason",
            "account_id",
            "submitted_day",
            postgresql_include=["reason"],
            postgresql_where=text("reason IS NOT NULL"),
        ),
        Index("ix_ratings_account_id_requester_id", "account_id", "requester_id"),
    )

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    survey_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    requester_name: Mapped[str] = mapped_column(Text)
    requester_id: Mapped[str | None] = mapped_column(Text)
    agent_id: Mapped[str | None] = mapped_column(Text)
    agent_name: Mapped[str | None] = mapped_column(Text)
    assignee_id: Mapped[str | None] = mapped_column(Text)
    assignee_name: Mapped[str | None] = mapped_column(Text)
    last_replier_id: Mapped[str | None] = mapped_column(Text)
    last_replier_name: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Timestamp]
    created_day: Mapped[date]
    score: Mapped[int | None]
    comment: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    """The code of what was picked with a low score."""
    submitted_at: Mapped[Timestamp | None]
    submitted_day: Mapped[date | None]
    expired_reason: Mapped[str | None] = mapped_column(Text)
    expired_at: Mapped[Timestamp | None]
    state: Mapped[str] = mapped_column(
        Text,
        # Written as PostgreSQL prints it, so that the drift test can compare the two.
        Computed(
            "CASE WHEN (submitted_at IS NOT NULL) THEN 'submitted'::text"
            " WHEN (expired_reason = 'reopened'::text) THEN 'withdrawn'::text"
            " WHEN (expired_reason = 'undeliverable'::text) THEN 'undeliverable'::text"
            " WHEN (expired_reason = 'unanswered'::text) THEN 'expired'::text"
            # Counted by its row in skipped_surveys alone.
            " WHEN (expired_reason = 'skipped'::text) THEN 'skipped'::text"
            " ELSE 'pending'::text END",
            persisted=True,
        ),
    )


class SkippedSurvey(Table):
    """A resolution that led to no survey, and why. What an older release kept of one names the credited agent alone."""

    __tablename__ = "skipped_surveys"
    __table_args__ = (
        CheckConstraint(
            "reason IN ('disabled', 'no_address', 'too_old', 'not_sampled', 'opted_out', 'no_reply', 'asked_recently')",
            name="reason_is_known",
        ),
    )

    account_id: Mapped[str] = mapped_column(Text, primary_key=True)
    ticket_id: Mapped[str] = mapped_column(Text, primary_key=True)
    resolved_version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    agent_id: Mapped[str | None] = mapped_column(Text)
    assignee_id: Mapped[str | None] = mapped_column(Text)
    last_replier_id: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[str | None] = mapped_column(Text)
    channel: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    skipped_at: Mapped[Timestamp]
    skipped_day: Mapped[date]


# Behind the keys of the tables that have them.
Count = Annotated[int, mapped_column(server_default="0", sort_order=1)]


_ROOM = {"postgresql_with": {"fillfactor": 70}}
"""Each row of a rollup changes many times: where its page has room, no index has to hear of it."""


class CsatCounts:
    """What reports add up. Written by rollup.py alone, in the statement that changes what is counted.

    `score_1` to `score_5` count the responses given on a day. `pending` to `undeliverable` count the surveys created on
    the day, by the state they are in by now. `skipped_…` count the day's resolutions that led to no survey.
    """

    score_1: Mapped[Count]
    score_2: Mapped[Count]
    score_3: Mapped[Count]
    score_4: Mapped[Count]
    score_5: Mapped[Count]
    pending: Mapped[Count]
    submitted: Mapped[Count]
    expired: Mapped[Count]
    withdrawn: Mapped[Count]
    undeliverable: Mapped[Count]
    skipped_disabled: Mapped[Count]
    skipped_no_address: Mapped[Count]
    skipped_too_old: Mapped[Count]
    skipped_not_sampled: Mapped[Count]
    skipped_opted_out: Mapped[Count]
    skipped_no_reply: Mapped[Count]
    skipped_asked_recently: Mapped[Count]


class CsatDaily(CsatCounts, Table):
    """How often each thing happened to one credited agent's tickets on one day of an account."""

    __tablename__ = "csat_daily"
    # Nobody's tickets have a row, too; a primary key could hold no null.
    __table_args__ = (UniqueConstraint("account_id", "day", "agent_id", postgresql_nulls_not_distinct=True), _ROOM)

    account_id: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column()
    agent_id: Mapped[str | None] = mapped_column(Text)

    __mapper_args__ = {"primary_key": [account_id, day, agent_id]}  # noqa: RUF012 - as SQLAlchemy wants it


class CsatKind(CsatCounts, Table):
    """How often each thing happened to tickets of one priority and channel on one day of an account, whosever they are.

    Both are null for skipped surveys of an older release.
    """

    __tablename__ = "csat_kinds"
    __table_args__ = (
        UniqueConstraint(
            "account_id", "day", "priority", "channel", name="uq_csat_kinds", postgresql_nulls_not_distinct=True
        ),
        _ROOM,
    )

    account_id: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column()
    priority: Mapped[str | None] = mapped_column(Text)
    channel: Mapped[str | None] = mapped_column(Text)

    __mapper_args__ = {"primary_key": [account_id, day, priority, channel]}  # noqa: RUF012 - as SQLAlchemy wants it


class CsatCell(CsatCounts, Table):
    """The same by everything that reports are filtered by, for what the others do not know: ten times as many rows."""

    __tablename__ = "csat_cells"
    __table_args__ = (
        UniqueConstraint(
            *("account_id", "day", "assignee_id", "last_replier_id", "agent_id", "priority", "channel"),
            name="uq_csat_cells",
            postgresql_nulls_not_distinct=True,
        ),
        _ROOM,
    )

    account_id: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column()
    assignee_id: Mapped[str | None] = mapped_column(Text)
    last_replier_id: Mapped[str | None] = mapped_column(Text)
    agent_id: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[str | None] = mapped_column(Text)
    channel: Mapped[str | None] = mapped_column(Text)

    __mapper_args__ = {  # noqa: RUF012 - as SQLAlchemy wants it
        "primary_key": [account_id, day, assignee_id, last_replier_id, agent_id, priority, channel]
    }


class ApiKey(ApiKeyColumns, Table):
    """A key that opens the reports of one account, or of one of its agents."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("scopes <@ '{figures,responses}' AND cardinality(scopes) > 0", name="scopes_are_known"),
    )

    account_id: Mapped[str] = mapped_column(ForeignKey(Account.account_id), index=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{figures,responses}")
    agent_id: Mapped[str | None] = mapped_column(Text)


class Erasure(ErasureColumns, Table):
    """A requester who asked to be forgotten."""

    __tablename__ = "erasures"


class RateLimitBucket(BucketColumns, Table):
    """How much somebody asked for lately."""

    __tablename__ = "rate_limit_buckets"
