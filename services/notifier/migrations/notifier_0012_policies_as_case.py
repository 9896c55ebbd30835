"""Policies are written so that the planner takes them for one that half of all rows pass, not hardly any."""

from alembic import op

revision = "notifier_0012_policies_as_case"
down_revision = "notifier_0011_policies"
branch_labels = None
depends_on = None

_TABLES = ("accounts", "emails", "suppressions", "erasures")


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
