"""first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "notifier_0001"
down_revision = None
branch_labels = ("notifier",)
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
        "emails",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("recipient_name", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("give_up_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name=op.f("ck_emails_sent_has_its_time")),
        sa.CheckConstraint(
            "kind IN ('reply_published', 'survey_invited', 'reply_received', 'ticket_reopened')",
            name=op.f("ck_emails_kind_is_known"),
        ),
        sa.CheckConstraint("state <> 'failed' OR last_error IS NOT NULL", name=op.f("ck_emails_failed_has_its_reason")),
        sa.CheckConstraint(
            "state = 'queued' OR facts ->> 'link' IS NULL", name=op.f("ck_emails_only_queued_keeps_a_link")
        ),
        sa.CheckConstraint("state IN ('queued', 'sent', 'failed')", name=op.f("ck_emails_state_is_known")),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_emails_attempts_not_negative")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_emails_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_emails")),
    )
    op.create_index("ix_emails_due", "emails", ["due_at"], unique=False, postgresql_where=sa.text("state = 'queued'"))
    op.create_index(
        "uq_emails_once",
        "emails",
        ["account_id", "kind", "subject_id", sa.literal_column("lower(recipient)")],
        unique=True,
    )


def downgrade() -> None:
    op.drop_index("uq_emails_once", table_name="emails")
    op.drop_index("ix_emails_due", table_name="emails", postgresql_where=sa.text("state = 'queued'"))
    op.drop_table("emails")
    op.drop_index(op.f("ix_accounts_logo_digest"), table_name="accounts")
    op.drop_table("accounts")
