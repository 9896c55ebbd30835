"""survey policy, due surveys, opt-outs, reasons."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "surveys_0006"
down_revision = "surveys_0005_erasure"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("survey_policy", postgresql.JSONB(), nullable=True))
    op.execute(
        "UPDATE accounts SET survey_policy ="
        " jsonb_build_object('enabled', surveys_enabled, 'expires_after_days', survey_expires_after_days)"
    )
    op.alter_column("accounts", "survey_policy", nullable=False)
    op.drop_column("accounts", "surveys_enabled")
    op.drop_column("accounts", "survey_expires_after_days")

    op.create_table(
        "answered_tickets",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ticket_id", name=op.f("pk_answered_tickets")),
    )
    op.create_table(
        "opt_outs",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("requester_id", sa.Text(), nullable=False),
        sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "requester_id", name=op.f("pk_opt_outs")),
    )

    op.add_column("skipped_surveys", sa.Column("requester_id", sa.Text(), nullable=True))
    op.add_column("skipped_surveys", sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_skipped_surveys_account_id_skipped_at", "skipped_surveys", ["account_id", "skipped_at"])

    op.add_column("surveys", sa.Column("opt_out_digest", sa.LargeBinary(), nullable=True))
    op.add_column("surveys", sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("surveys", sa.Column("ticket", postgresql.JSONB(), nullable=True))
    op.add_column("surveys", sa.Column("due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("surveys", sa.Column("invited_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("surveys", sa.Column("reason", postgresql.JSONB(), nullable=True))
    op.add_column("surveys", sa.Column("follow_up_at", sa.DateTime(timezone=True), nullable=True))
    # Until now who was asked was asked at once; only a reopening that was heard first kept an invitation back.
    op.execute("UPDATE surveys SET invited_at = created_at WHERE expired_at IS DISTINCT FROM created_at")
    op.create_unique_constraint(op.f("uq_surveys_opt_out_digest"), "surveys", ["opt_out_digest"])
    op.create_check_constraint(
        op.f("ck_surveys_due_has_its_facts"),
        "surveys",
        "due_at IS NULL OR state = 'pending' AND ticket IS NOT NULL",
    )
    op.create_check_constraint(op.f("ck_surveys_reason_is_of_a_low_score"), "surveys", "reason IS NULL OR score <= 2")
    op.create_index("ix_surveys_due", "surveys", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index("ix_surveys_account_id_created_at", "surveys", ["account_id", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_surveys_account_id_created_at", table_name="surveys")
    op.drop_index("ix_surveys_due", table_name="surveys", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_constraint(op.f("ck_surveys_reason_is_of_a_low_score"), "surveys", type_="check")
    op.drop_constraint(op.f("ck_surveys_due_has_its_facts"), "surveys", type_="check")
    op.drop_constraint(op.f("uq_surveys_opt_out_digest"), "surveys", type_="unique")
    for column in (
        "follow_up_at",
        "reason",
        "invited_at",
        "due_at",
        "ticket",
        "resolved_at",
        "opt_out_digest",
    ):
        op.drop_column("surveys", column)
    op.drop_index("ix_skipped_surveys_account_id_skipped_at", table_name="skipped_surveys")
    op.drop_column("skipped_surveys", "resolved_at")
    op.drop_column("skipped_surveys", "requester_id")
    op.drop_table("opt_outs")
    op.drop_table("answered_tickets")
    op.add_column("accounts", sa.Column("surveys_enabled", sa.Boolean(), nullable=True))
    op.add_column("accounts", sa.Column("survey_expires_after_days", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE accounts SET surveys_enabled = (survey_policy ->> 'enabled')::boolean,"
        " survey_expires_after_days = (survey_policy ->> 'expires_after_days')::integer"
    )
    op.alter_column("accounts", "surveys_enabled", nullable=False)
    op.alter_column("accounts", "survey_expires_after_days", nullable=False)
    op.drop_column("accounts", "survey_policy")
