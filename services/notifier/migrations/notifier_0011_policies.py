"""Policies look up whose rows they show once for a statement; addresses are compared by a column of their own."""

import sqlalchemy as sa
from alembic import op

revision = "notifier_0011_policies"
down_revision = "notifier_0010_slots"
branch_labels = None
depends_on = None

_TABLES = ("accounts", "emails", "suppressions", "erasures")


def upgrade() -> None:
    op.add_column(
        "emails", sa.Column("address", sa.Text(), sa.Computed("lower(recipient)", persisted=True), nullable=False)
    )
    op.drop_index("ix_emails_slots", table_name="emails")
    op.create_index(
        "ix_emails_slots",
        "emails",
        ["address", "slot_at"],
        unique=False,
        postgresql_where=sa.text("slot_at IS NOT NULL"),
    )
    for table in _TABLES:
        op.execute(
            f"ALTER POLICY of_its_account ON {table} USING (account_id = (SELECT current_setting('closeloop.account', true)) OR (SELECT current_setting('closeloop.every_account', true)) = 'on')"
        )


def downgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"ALTER POLICY of_its_account ON {table} USING (account_id = current_setting('closeloop.account', true) OR current_setting('closeloop.every_account', true) = 'on')"
        )
    op.drop_index("ix_emails_slots", table_name="emails")
    op.create_index(
        "ix_emails_slots",
        "emails",
        [sa.literal_column("lower(recipient)"), "slot_at"],
        unique=False,
        postgresql_where=sa.text("slot_at IS NOT NULL"),
    )
    op.drop_column("emails", "address")
