"""keys that open figures or responses alone, and those of one agent alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "reports_0008_scoped_keys"
down_revision = "reports_0007_cells"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_keys",
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default="{figures,responses}", nullable=False),
    )
    op.add_column("api_keys", sa.Column("agent_id", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_api_keys_scopes_are_known"),
        "api_keys",
        "scopes <@ '{figures,responses}' AND cardinality(scopes) > 0",
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_api_keys_scopes_are_known"), "api_keys")
    op.drop_column("api_keys", "agent_id")
    op.drop_column("api_keys", "scopes")
