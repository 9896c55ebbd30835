"""how many emails an address gets within an hour."""

import sqlalchemy as sa
from alembic import op

revision = "notifier_0010_slots"
down_revision = "notifier_0009_tenants"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emails", sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_emails_slots",
        "emails",
        [sa.literal_column("lower(recipient)"), "slot_at"],
        unique=False,
        postgresql_where=sa.text("slot_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_emails_slots", table_name="emails")
    op.drop_column("emails", "slot_at")
