"""which conversation awaits a file."""

import sqlalchemy as sa
from alembic import op

revision = "portal_0009_awaited_files"
down_revision = "portal_0008_tenants"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attached_files", sa.Column("ticket_id", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("attached_files", "ticket_id")
