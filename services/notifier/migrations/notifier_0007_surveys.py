"""reminders, low ratings, wording of surveys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "notifier_0007"
down_revision = "notifier_0006_solved_tickets"
branch_labels = None
depends_on = None

_BEFORE = ("reply_published", "link_renewed", "survey_invited", "reply_received", "ticket_reopened", "ticket_solved")
_KINDS = (
    "reply_published",
    "link_renewed",
    "survey_invited",
    "survey_reminded",
    "reply_received",
    "ticket_reopened",
    "ticket_solved",
    "survey_submitted",
)
_ONLY_QUEUED = "ck_emails_only_queued_keeps_a_link"


def _know(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_emails_kind_is_known"), "emails", type_="check")
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    op.create_check_constraint(op.f("ck_emails_kind_is_known"), "emails", f"kind IN ({listed})")


def upgrade() -> None:
    _know(_KINDS)
    op.drop_constraint(op.f(_ONLY_QUEUED), "emails", type_="check")
    op.create_check_constraint(
        op.f(_ONLY_QUEUED),
        "emails",
        "state = 'queued' OR facts ->> 'link' IS NULL AND facts ->> 'opt_out_link' IS NULL",
    )
    op.add_column(
        "accounts",
        sa.Column("survey_wording", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    op.add_column("accounts", sa.Column("lead", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("accounts", "lead")
    op.drop_column("accounts", "survey_wording")
    op.drop_constraint(op.f(_ONLY_QUEUED), "emails", type_="check")
    op.create_check_constraint(op.f(_ONLY_QUEUED), "emails", "state = 'queued' OR facts ->> 'link' IS NULL")
    op.execute("DELETE FROM emails WHERE kind IN ('survey_reminded', 'survey_submitted')")
    _know(_BEFORE)
