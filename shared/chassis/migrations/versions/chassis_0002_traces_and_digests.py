"""an event's trace beside it in the outbox, its digest in the inbox"""

import sqlalchemy as sa
from alembic import op

revision = "chassis_0002"
down_revision = "chassis_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("traceparent", sa.Text(), nullable=True))
    op.add_column("inbox", sa.Column("digest", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("inbox", "digest")
    op.drop_column("outbox", "traceparent")
