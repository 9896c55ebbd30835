"""Policies look up whose rows they show once for a statement, not for every row."""

from alembic import op

revision = "portal_0010_policies"
down_revision = "portal_0009_awaited_files"
branch_labels = None
depends_on = None

_TABLES = ("accounts", "tickets", "messages", "access_links", "quarantined", "erasures", "api_keys", "attached_files")


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
