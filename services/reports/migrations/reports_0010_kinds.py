"""a rollup by priority and channel; room for changes in the pages of all of them."""

import sqlalchemy as sa
from alembic import op

revision = "reports_0010_kinds"
down_revision = "reports_0009_policies"
branch_labels = None
depends_on = None

_KEY = ("account_id", "day", "priority", "channel")
_COUNTS = (
    *(f"score_{score}" for score in range(1, 6)),
    *("pending", "submitted", "expired", "withdrawn", "undeliverable"),
    *("skipped_disabled", "skipped_no_address", "skipped_too_old", "skipped_not_sampled"),
    *("skipped_opted_out", "skipped_no_reply", "skipped_asked_recently"),
)


def upgrade() -> None:
    # The cells of every account are added up, which nobody but who says so is shown.
    op.execute("SET LOCAL closeloop.every_account = 'on'")
    op.create_table(
        "csat_kinds",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in _COUNTS),
        sa.UniqueConstraint(*_KEY, name="uq_csat_kinds", postgresql_nulls_not_distinct=True),
    )
    key, counts, sums = ", ".join(_KEY), ", ".join(_COUNTS), ", ".join(f"sum({name})" for name in _COUNTS)
    for rollup in ("csat_daily", "csat_cells", "csat_kinds"):
        op.execute(f"ALTER TABLE {rollup} SET (fillfactor = 70)")
    op.execute(f"INSERT INTO csat_kinds ({key}, {counts}) SELECT {key}, {sums} FROM csat_cells GROUP BY {key}")  # noqa: S608
    op.execute("ALTER TABLE csat_kinds ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE csat_kinds FORCE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY of_its_account ON csat_kinds USING (account_id = (SELECT current_setting('closeloop.account', true)) OR (SELECT current_setting('closeloop.every_account', true)) = 'on')"
    )


def downgrade() -> None:
    op.drop_table("csat_kinds")
    for rollup in ("csat_daily", "csat_cells"):
        op.execute(f"ALTER TABLE {rollup} RESET (fillfactor)")
