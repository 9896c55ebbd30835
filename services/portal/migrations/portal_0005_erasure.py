"""erasure of requesters."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "portal_0005_erasure"
down_revision = "portal_0004"
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
    op.add_column(
        "tickets",
        sa.Column(
            "requester_id",
            sa.Text(),
            sa.Computed("(snapshot #>> '{requester,requester_id}'::text[])", persisted=True),
            nullable=True,
        ),
    )
    op.create_index("ix_tickets_account_id_requester_id", "tickets", ["account_id", "requester_id"])
    op.add_column("messages", sa.Column("requester_id", sa.Text(), nullable=True))
    op.execute(
        "UPDATE messages SET requester_id = tickets.requester_id FROM tickets"
        " WHERE (messages.account_id, messages.ticket_id) = (tickets.account_id, tickets.ticket_id)"
    )
    op.create_index("ix_messages_account_id_requester_id", "messages", ["account_id", "requester_id"])


def downgrade() -> None:
    op.drop_index("ix_messages_account_id_requester_id", "messages")
    op.drop_column("messages", "requester_id")
    op.drop_index("ix_tickets_account_id_requester_id", "tickets")
    op.drop_column("tickets", "requester_id")
    op.drop_table("erasures")
