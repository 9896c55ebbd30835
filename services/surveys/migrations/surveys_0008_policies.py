"""Policies look up whose rows they show once for a statement, not for every row."""

from alembic import op

revision = "surveys_0008_policies"
down_revision = "surveys_0007_tenants"
branch_labels = None
depends_on = None

_TABLES = (
    "accounts",
    "tickets",
    "answered_tickets",
    "skipped_surveys",
    "opt_outs",
    "surveys",
    "quarantined",
    "erasures",
)


def upgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"ALTER POLICY of_its_account ON {table} USING (account_id = (SELECT current_setting('closeloop.account', true)) OR (SELECT current_setting('closeloop.every_account', true)) = 'on')"
        )


def downgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"ALTER POLICY of_its_account ON {table} USING (account_id = current_setting('closeloop.account', true) OR current_setting('closeloop.every_account', true) = 'on')"
        )
