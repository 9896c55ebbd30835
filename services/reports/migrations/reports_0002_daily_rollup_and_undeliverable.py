"""The daily rollup; surveys that could not be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "reports_0002"
down_revision = "reports_0001"
branch_labels = None
depends_on = None

_SCORES = [f"score_{score}" for score in range(1, 6)]
_STATES = ["pending", "submitted", "expired", "withdrawn", "undeliverable"]
_REASONS = ["disabled", "no_address", "too_old"]


def upgrade() -> None:
    op.drop_constraint(op.f("ck_ratings_expired_reason_is_known"), "ratings")
    op.create_check_constraint(
        op.f("ck_ratings_expired_reason_is_known"),
        "ratings",
        "expired_reason IN ('unanswered', 'reopened', 'undeliverable')",
    )
    op.create_check_constraint(
        op.f("ck_skipped_surveys_reason_is_known"), "skipped_surveys", "reason IN ('disabled', 'no_address', 'too_old')"
    )
    op.drop_index("ix_ratings_created", "ratings")
    op.drop_index("ix_ratings_submitted", "ratings")
    op.drop_index("ix_skipped_surveys_skipped", "skipped_surveys")
    op.execute(
        "ALTER TABLE ratings ALTER COLUMN state SET EXPRESSION AS ("
        "CASE WHEN (submitted_at IS NOT NULL) THEN 'submitted'::text WHEN (expired_reason = 'reopened'::text) THEN 'withdrawn'::text WHEN (expired_reason = 'undeliverable'::text) THEN 'undeliverable'::text WHEN (expired_reason = 'unanswered'::text) THEN 'expired'::text ELSE 'pending'::text END)"
    )
    op.create_index(
        "ix_ratings_submitted",
        "ratings",
        ["account_id", "submitted_day", "submitted_at", "survey_id"],
        unique=False,
        postgresql_where=sa.text("submitted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_ratings_submitted_by_agent",
        "ratings",
        ["account_id", "agent_id", "submitted_day", "submitted_at", "survey_id"],
        unique=False,
        postgresql_where=sa.text("submitted_at IS NOT NULL"),
    )
    op.create_table(
        "csat_daily",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        *(
            sa.Column(name, sa.Integer(), server_default="0", nullable=False)
            for name in (*_SCORES, *_STATES, *(f"skipped_{reason}" for reason in _REASONS))
        ),
        sa.UniqueConstraint(
            "account_id",
            "day",
            "agent_id",
            name=op.f("uq_csat_daily_account_id_day_agent_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    scores = ", ".join(f"count(*) FILTER (WHERE score = {score})" for score in range(1, 6))
    states = ", ".join(f"count(*) FILTER (WHERE state = '{state}')" for state in _STATES)
    reasons = ", ".join(f"count(*) FILTER (WHERE reason = '{reason}')" for reason in _REASONS)
    for columns, counts, day, table in (
        (_SCORES, scores, "submitted_day", "ratings"),
        (_STATES, states, "created_day", "ratings"),
        ([f"skipped_{reason}" for reason in _REASONS], reasons, "skipped_day", "skipped_surveys"),
    ):
        own = ", ".join(f"{column} = excluded.{column}" for column in columns)
        op.execute(
            f"INSERT INTO csat_daily (account_id, day, agent_id, {', '.join(columns)}) SELECT account_id, {day}, agent_id, {counts} FROM {table} WHERE {day} IS NOT NULL GROUP BY account_id, {day}, agent_id ON CONFLICT (account_id, day, agent_id) DO UPDATE SET {own}"  # noqa: S608
        )


def downgrade() -> None:
    op.drop_table("csat_daily")
    op.drop_index("ix_ratings_submitted_by_agent", "ratings")
    op.drop_index("ix_ratings_submitted", "ratings")
    op.execute(
        "ALTER TABLE ratings ALTER COLUMN state SET EXPRESSION AS ("
        "CASE WHEN (submitted_at IS NOT NULL) THEN 'submitted'::text WHEN (expired_reason = 'reopened'::text) THEN 'withdrawn'::text WHEN (expired_reason = 'unanswered'::text) THEN 'expired'::text ELSE 'pending'::text END)"
    )
    op.create_index("ix_skipped_surveys_skipped", "skipped_surveys", ["account_id", "skipped_day"], unique=False)
    op.create_index(
        "ix_ratings_submitted",
        "ratings",
        ["account_id", "submitted_day", "submitted_at", "survey_id"],
        unique=False,
        postgresql_include=["score", "agent_id"],
        postgresql_where=sa.text("submitted_at IS NOT NULL"),
    )
    op.create_index(
        "ix_ratings_created",
        "ratings",
        ["account_id", "created_day"],
        unique=False,
        postgresql_include=["state", "agent_id"],
    )
    op.drop_constraint(op.f("ck_skipped_surveys_reason_is_known"), "skipped_surveys")
    op.drop_constraint(op.f("ck_ratings_expired_reason_is_known"), "ratings")
    op.create_check_constraint(
        op.f("ck_ratings_expired_reason_is_known"), "ratings", "expired_reason IN ('unanswered', 'reopened')"
    )
