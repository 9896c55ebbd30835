"""Policies are written so that the planner takes them for one that half of all rows pass, not hardly any."""

from alembic import op

revision = "reports_0011_policies_as_case"
down_revision = "reports_0010_kinds"
branch_labels = None
depends_on = None

_TABLES = ("accounts", "api_keys", "ratings", "skipped_surveys", "csat_daily", "csat_cells", "csat_kinds", "erasures")


def upgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"ALTER POLICY of_its_account ON {table} USING (CASE WHEN account_id = (SELECT current_setting('closeloop.account', true)) THEN true ELSE (SELECT current_setting('closeloop.every_account', true)) = 'on' END)"
        )


def downgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"ALTER POLICY of_its_account ON {table} USING (account_id = (SELECT current_setting('closeloop.account', true)) OR (SELECT current_setting('closeloop.every_account', true)) = 'on')"
        )
