"""erasure of requesters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "notifier_0005_erasure"
down_revision = "notifier_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("requester_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("ticket_ids", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "requester_id", "request_id", name=op.f("pk_erasures")),
    )
    op.add_column("emails", sa.Column("requester_id", sa.Text(), nullable=True))
    op.create_index("ix_emails_account_id_requester_id", "emails", ["account_id", "requester_id"])
    op.add_column("suppressions", sa.Column("requester_id", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("suppressions", "requester_id")
    op.drop_index("ix_emails_account_id_requester_id", "emails")
    op.drop_column("emails", "requester_id")
    op.drop_table("erasures")
