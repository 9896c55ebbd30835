"""Policies look up whose rows they show once for a statement, not for every row."""

from alembic import op

revision = "reports_0009_policies"
down_revision = "reports_0008_scoped_keys"
branch_labels = None
depends_on = None

_TABLES = ("accounts", "api_keys", "ratings", "skipped_surveys", "csat_daily", "csat_cells", "erasures")


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
