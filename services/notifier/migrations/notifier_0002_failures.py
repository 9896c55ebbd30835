"""failures and suppressions."""

import sqlalchemy as sa
from alembic import op

revision = "notifier_0002"
down_revision = "notifier_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "suppressions",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("suppressed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_suppressions_account_id")),
        sa.PrimaryKeyConstraint("account_id", "address", name=op.f("pk_suppressions")),
    )
    op.add_column("emails", sa.Column("unsettled", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("emails", sa.Column("failed_reason", sa.Text(), nullable=True))
    # What failed before this was told of in words only.
    op.execute(
        "UPDATE emails SET failed_reason = CASE WHEN last_error = 'not an address' THEN 'unwritable'"
        " WHEN last_error LIKE 'too late;%' THEN 'gave_up' ELSE 'bounced' END WHERE state = 'failed'"
    )
    op.drop_constraint(op.f("ck_emails_failed_has_its_reason"), "emails", type_="check")
    op.create_check_constraint(
        op.f("ck_emails_failed_has_its_reason"), "emails", "(state = 'failed') = (failed_reason IS NOT NULL)"
    )
    op.create_check_constraint(
        op.f("ck_emails_failed_reason_is_known"),
        "emails",
        "failed_reason IN ('bounced', 'suppressed', 'unwritable', 'gave_up')",
    )
    op.drop_constraint(op.f("ck_emails_sent_has_its_time"), "emails", type_="check")
    op.create_check_constraint(
        op.f("ck_emails_sent_has_its_time"), "emails", "state = 'failed' OR (state = 'sent') = (sent_at IS NOT NULL)"
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_emails_sent_has_its_time"), "emails", type_="check")
    op.execute("UPDATE emails SET sent_at = NULL WHERE state = 'failed'")
    op.create_check_constraint(
        op.f("ck_emails_sent_has_its_time"), "emails", "(state = 'sent') = (sent_at IS NOT NULL)"
    )
    op.drop_constraint(op.f("ck_emails_failed_reason_is_known"), "emails", type_="check")
    op.drop_constraint(op.f("ck_emails_failed_has_its_reason"), "emails", type_="check")
    op.create_check_constraint(
        op.f("ck_emails_failed_has_its_reason"), "emails", "state <> 'failed' OR last_error IS NOT NULL"
    )
    op.drop_column("emails", "failed_reason")
    op.drop_column("emails", "unsettled")
    op.drop_table("suppressions")
