"""first tables."""

import sqlalchemy as sa
from alembic import op

revision = "reports_0001"
down_revision = None
branch_labels = ("reports",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("colour", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("logo_digest", sa.Text(), nullable=True),
        sa.Column("logo_media_type", sa.Text(), nullable=True),
        sa.Column("logo", sa.LargeBinary(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
    )
    op.create_index(op.f("ix_accounts_logo_digest"), "accounts", ["logo_digest"], unique=False)
    op.create_table(
        "ratings",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("survey_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("requester_name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("agent_name", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_day", sa.Date(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_day", sa.Date(), nullable=True),
        sa.Column("expired_reason", sa.Text(), nullable=True),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "state",
            sa.Text(),
            sa.Computed(
                "CASE WHEN (submitted_at IS NOT NULL) THEN 'submitted'::text WHEN (expired_reason = 'reopened'::text) THEN 'withdrawn'::text WHEN (expired_reason = 'unanswered'::text) THEN 'expired'::text ELSE 'pending'::text END",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.CheckConstraint(
            "expired_reason IN ('unanswered', 'reopened')", name=op.f("ck_ratings_expired_reason_is_known")
        ),
        sa.CheckConstraint("(agent_id IS NULL) = (agent_name IS NULL)", name=op.f("ck_ratings_agent_has_a_name")),
        sa.CheckConstraint(
            "(submitted_at IS NULL) = (score IS NULL) AND (submitted_at IS NULL) = (submitted_day IS NULL) AND (submitted_at IS NULL) = (comment IS NULL) AND (expired_at IS NULL) = (expired_reason IS NULL)",
            name=op.f("ck_ratings_state_has_its_facts"),
        ),
        sa.CheckConstraint("char_length(comment) <= 2000", name=op.f("ck_ratings_comment_fits")),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_ratings_score_in_range")),
        sa.PrimaryKeyConstraint("account_id", "survey_id", name=op.f("pk_ratings")),
    )
    op.create_index(
        "ix_ratings_created",
        "ratings",
        ["account_id", "created_day"],
        unique=False,
        postgresql_include=["state", "agent_id"],
    )
    op.create_index(
        "ix_ratings_submitted",
        "ratings",
        ["account_id", "submitted_day", "submitted_at", "survey_id"],
        unique=False,
        postgresql_include=["score", "agent_id"],
        postgresql_where=sa.text("submitted_at IS NOT NULL"),
    )
    op.create_table(
        "skipped_surveys",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("resolved_version", sa.BigInteger(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("skipped_day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ticket_id", "resolved_version", name=op.f("pk_skipped_surveys")),
    )
    op.create_index("ix_skipped_surveys_skipped", "skipped_surveys", ["account_id", "skipped_day"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_api_keys_account_id")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_account_id"), "api_keys", ["account_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_api_keys_account_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_index("ix_skipped_surveys_skipped", table_name="skipped_surveys")
    op.drop_table("skipped_surveys")
    op.drop_index(
        "ix_ratings_submitted",
        table_name="ratings",
        postgresql_include=["score", "agent_id"],
        postgresql_where=sa.text("submitted_at IS NOT NULL"),
    )
    op.drop_index("ix_ratings_created", table_name="ratings", postgresql_include=["state", "agent_id"])
    op.drop_table("ratings")
    op.drop_index(op.f("ix_accounts_logo_digest"), table_name="accounts")
    op.drop_table("accounts")
