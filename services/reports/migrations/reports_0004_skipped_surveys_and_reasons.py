"""more reasons to skip a survey; reasons of low scores."""

import sqlalchemy as sa
from alembic import op

revision = "reports_0004"
down_revision = "reports_0003_erasure"
branch_labels = None
depends_on = None

_BEFORE = ("disabled", "no_address", "too_old")
_NEW = ("not_sampled", "opted_out", "no_reply", "asked_recently")
_STATE = "CASE WHEN (submitted_at IS NOT NULL) THEN 'submitted'::text WHEN (expired_reason = 'reopened'::text) THEN 'withdrawn'::text WHEN (expired_reason = 'undeliverable'::text) THEN 'undeliverable'::text WHEN (expired_reason = 'unanswered'::text) THEN 'expired'::text"


def _know(table: str, column: str, constraint: str, values: tuple[str, ...]) -> None:
    op.drop_constraint(op.f(constraint), table, type_="check")
    listed = ", ".join(f"'{value}'" for value in values)
    op.create_check_constraint(op.f(constraint), table, f"{column} IN ({listed})")


def upgrade() -> None:
    _know("skipped_surveys", "reason", "ck_skipped_surveys_reason_is_known", (*_BEFORE, *_NEW))
    _know(
        "ratings",
        "expired_reason",
        "ck_ratings_expired_reason_is_known",
        ("unanswered", "reopened", "undeliverable", "skipped"),
    )
    op.execute(
        f"ALTER TABLE ratings ALTER COLUMN state SET EXPRESSION AS ({_STATE} WHEN (expired_reason = 'skipped'::text) THEN 'skipped'::text ELSE 'pending'::text END)"
    )
    op.add_column("ratings", sa.Column("reason", sa.Text(), nullable=True))
    for reason in _NEW:
        op.add_column("csat_daily", sa.Column(f"skipped_{reason}", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    for reason in _NEW:
        op.drop_column("csat_daily", f"skipped_{reason}")
    op.drop_column("ratings", "reason")
    op.execute("DELETE FROM ratings WHERE state = 'skipped'")
    op.execute(f"ALTER TABLE ratings ALTER COLUMN state SET EXPRESSION AS ({_STATE} ELSE 'pending'::text END)")
    _know(
        "ratings", "expired_reason", "ck_ratings_expired_reason_is_known", ("unanswered", "reopened", "undeliverable")
    )
    op.execute("DELETE FROM skipped_surveys WHERE reason IN ('not_sampled', 'opted_out', 'no_reply', 'asked_recently')")
    _know("skipped_surveys", "reason", "ck_skipped_surveys_reason_is_known", _BEFORE)
