"""a lease of its own for an email in hand."""

import sqlalchemy as sa
from alembic import op

revision = "notifier_0008"
down_revision = "notifier_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("emails", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    # A process of the version before that sends while this runs has its lease in due_at.
    op.execute("UPDATE emails SET held_until = due_at WHERE state = 'queued' AND unsettled AND due_at > now()")


def downgrade() -> None:
    op.drop_column("emails", "held_until")
