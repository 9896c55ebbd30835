"""account locale."""

import sqlalchemy as sa
from alembic import op

revision = "portal_0002"
down_revision = "portal_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accounts", sa.Column("locale", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("accounts", "locale")
