"""whom a rating is about by each rule; a rollup by everything that reports are filtered by."""

import sqlalchemy as sa
from alembic import op

revision = "reports_0007_cells"
down_revision = "reports_0006_rate_limits"
branch_labels = None
depends_on = None

_KEY = "account_id, day, assignee_id, last_replier_id, agent_id, priority, channel"
_COUNTED = {
    ("ratings", "submitted_day"): [(f"score_{score}", f"score = {score}") for score in range(1, 6)],
    ("ratings", "created_day"): [
        (state, f"state = '{state}'") for state in ("pending", "submitted", "expired", "withdrawn", "undeliverable")
    ],
    ("skipped_surveys", "skipped_day"): [
        (f"skipped_{reason}", f"reason = '{reason}'")
        for reason in (
            "disabled",
            "no_address",
            "too_old",
            "not_sampled",
            "opted_out",
            "no_reply",
            "asked_recently",
        )
    ],
}
_NAMES = [name for counts in _COUNTED.values() for name, _ in counts]


def upgrade() -> None:
    # The rows of every account are changed and counted, which nobody but who says so is shown.
    op.execute("SET LOCAL closeloop.every_account = 'on'")
    # What is counted by fits into an index; so does no name of any length.
    op.execute("UPDATE ratings SET channel = left(channel, 128) WHERE char_length(channel) > 128")
    for who in ("assignee", "last_replier"):
        op.add_column("ratings", sa.Column(f"{who}_id", sa.Text(), nullable=True))
        op.add_column("ratings", sa.Column(f"{who}_name", sa.Text(), nullable=True))
        op.create_check_constraint(
            op.f(f"ck_ratings_{who}_has_a_name"), "ratings", f"({who}_id IS NULL) = ({who}_name IS NULL)"
        )
        op.add_column("skipped_surveys", sa.Column(f"{who}_id", sa.Text(), nullable=True))
    op.add_column("skipped_surveys", sa.Column("priority", sa.Text(), nullable=True))
    op.add_column("skipped_surveys", sa.Column("channel", sa.Text(), nullable=True))
    op.create_index(
        "ix_ratings_reason",
        "ratings",
        ["account_id", "submitted_day"],
        postgresql_include=["reason"],
        postgresql_where=sa.text("reason IS NOT NULL"),
    )
    op.create_table(
        "csat_cells",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("assignee_id", sa.Text(), nullable=True),
        sa.Column("last_replier_id", sa.Text(), nullable=True),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in _NAMES),
        sa.UniqueConstraint(*_KEY.split(", "), name="uq_csat_cells", postgresql_nulls_not_distinct=True),
    )
    parts = []
    for (table, day), counts in _COUNTED.items():
        conditions = dict(counts)
        sums = [f"count(*) FILTER (WHERE {conditions[name]})" if name in conditions else "0" for name in _NAMES]
        key = _KEY.replace("day", day)
        parts.append(f"SELECT {key}, {', '.join(sums)} FROM {table} WHERE {day} IS NOT NULL GROUP BY {key}")  # noqa: S608
    sums = ", ".join(f"sum({name})" for name in _NAMES)
    op.execute(
        f"INSERT INTO csat_cells ({_KEY}, {', '.join(_NAMES)}) SELECT {_KEY}, {sums} FROM ({' UNION ALL '.join(parts)}) AS counted ({_KEY}, {', '.join(_NAMES)}) GROUP BY {_KEY} HAVING ({sums}) <> ({', '.join('0' for _ in _NAMES)})"  # noqa: S608
    )
    op.execute("ALTER TABLE csat_cells ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE csat_cells FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY of_its_account ON csat_cells USING (account_id = current_setting('closeloop.account', true) OR current_setting('closeloop.every_account', true) = 'on')"
    )


def downgrade() -> None:
    op.drop_table("csat_cells")
    op.drop_index("ix_ratings_reason", "ratings")
    for column in ("priority", "channel", "last_replier_id", "assignee_id"):
        op.drop_column("skipped_surveys", column)
    for who in ("last_replier", "assignee"):
        op.drop_column("ratings", f"{who}_id")
        op.drop_column("ratings", f"{who}_name")
