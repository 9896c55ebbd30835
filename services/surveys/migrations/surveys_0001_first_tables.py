"""first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "surveys_0001"
down_revision = None
branch_labels = ("surveys",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("surveys_enabled", sa.Boolean(), nullable=False),
        sa.Column("survey_expires_after_days", sa.Integer(), nullable=False),
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
        "skipped_surveys",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("resolved_version", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("skipped_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ticket_id", "resolved_version", name=op.f("pk_skipped_surveys")),
    )
    op.create_table(
        "spent_challenges",
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("effect", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_spent_challenges")),
    )
    op.create_index(op.f("ix_spent_challenges_expires_at"), "spent_challenges", ["expires_at"], unique=False)
    op.create_table(
        "surveys",
        sa.Column("survey_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("resolved_version", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("link_digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expired_reason", sa.Text(), nullable=True),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'submitted') = (score IS NOT NULL) AND (state = 'submitted') = (submitted_at IS NOT NULL) AND (state = 'expired') = (expired_at IS NOT NULL) AND (state = 'expired') = (expired_reason IS NOT NULL)",
            name=op.f("ck_surveys_state_has_its_facts"),
        ),
        sa.CheckConstraint("state IN ('pending', 'submitted', 'expired')", name=op.f("ck_surveys_state_is_known")),
        sa.CheckConstraint("char_length(comment) <= 2000", name=op.f("ck_surveys_comment_fits")),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_surveys_score_in_range")),
        sa.PrimaryKeyConstraint("survey_id", name=op.f("pk_surveys")),
        sa.UniqueConstraint(
            "account_id",
            "ticket_id",
            "resolved_version",
            name=op.f("uq_surveys_account_id_ticket_id_resolved_version"),
        ),
        sa.UniqueConstraint("link_digest", name=op.f("uq_surveys_link_digest")),
    )
    op.create_index(
        "ix_surveys_overdue",
        "surveys",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "tickets",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.Column("reopened_through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ticket_id", name=op.f("pk_tickets")),
    )


def downgrade() -> None:
    op.drop_table("tickets")
    op.drop_index("ix_surveys_overdue", table_name="surveys", postgresql_where=sa.text("state = 'pending'"))
    op.drop_table("surveys")
    op.drop_index(op.f("ix_spent_challenges_expires_at"), table_name="spent_challenges")
    op.drop_table("spent_challenges")
    op.drop_table("skipped_surveys")
    op.drop_index(op.f("ix_accounts_logo_digest"), table_name="accounts")
    op.drop_table("accounts")
