"""PostgreSQL shows a transaction one account's rows."""

from alembic import op

revision = "notifier_0009_tenants"
down_revision = "notifier_0008"
branch_labels = None
depends_on = None

_TABLES = ("accounts", "emails", "suppressions", "erasures")


def upgrade() -> None:
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY of_its_account ON {table} USING (account_id = current_setting('closeloop.account', true) OR current_setting('closeloop.every_account', true) = 'on')"
        )


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP POLICY of_its_account ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
