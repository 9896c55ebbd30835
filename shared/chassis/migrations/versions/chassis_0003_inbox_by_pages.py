"""the inbox is dropped by pages: its index by time need not know every row"""

from alembic import op

revision = "chassis_0003"
down_revision = "chassis_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_inbox_received_at", table_name="inbox")
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], postgresql_using="brin")


def downgrade() -> None:
    op.drop_index("ix_inbox_received_at", table_name="inbox")
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"])
