"""letters with fresh links, letters about solved tickets."""

from alembic import op

revision = "notifier_0006_solved_tickets"
down_revision = "notifier_0005_erasure"
branch_labels = None
depends_on = None

BEFORE = "'reply_published', 'survey_invited', 'reply_received', 'ticket_reopened'"


def upgrade() -> None:
    _know(f"{BEFORE}, 'link_renewed', 'ticket_solved'")


def downgrade() -> None:
    op.execute("DELETE FROM emails WHERE kind IN ('link_renewed', 'ticket_solved')")
    _know(BEFORE)


def _know(kinds: str) -> None:
    op.drop_constraint(op.f("ck_emails_kind_is_known"), "emails", type_="check")
    op.create_check_constraint(op.f("ck_emails_kind_is_known"), "emails", f"kind IN ({kinds})")
