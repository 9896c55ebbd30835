"""quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "surveys_0004"
down_revision = "surveys_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quarantined",
        sa.Column("quarantine_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("form", postgresql.JSONB(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantined")),
    )
    op.create_index(op.f("ix_quarantined_received_at"), "quarantined", ["received_at"], unique=False)
    op.create_index(op.f("ix_quarantined_account_id_about"), "quarantined", ["account_id", "about"], unique=False)


def downgrade() -> None:
    op.drop_table("quarantined")
