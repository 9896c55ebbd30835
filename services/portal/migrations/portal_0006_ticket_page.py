"""html replies, solved tickets, and news for open pages."""

import sqlalchemy as sa
from alembic import op

revision = "portal_0006_ticket_page"
down_revision = "portal_0005_erasure"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("body_html", sa.Text(), server_default="", nullable=False))
    op.add_column("tickets", sa.Column("solved_version", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("tickets", sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False))
    # What live.py listens to: sent by PostgreSQL to all replicas when the transaction commits.
    op.execute(
        """
        CREATE FUNCTION tell_readers() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('ticket_changed', json_build_array(NEW.account_id, NEW.ticket_id, NEW.revision)::text);
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER tell_readers AFTER UPDATE OF revision ON tickets FOR EACH ROW
        WHEN (OLD.revision <> NEW.revision) EXECUTE FUNCTION tell_readers()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_readers ON tickets")
    op.execute("DROP FUNCTION tell_readers()")
    op.drop_column("tickets", "revision")
    op.drop_column("tickets", "solved_version")
    op.drop_column("messages", "body_html")
