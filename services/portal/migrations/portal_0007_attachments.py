"""attachments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "portal_0007_attachments"
down_revision = "portal_0006_ticket_page"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("attachments", postgresql.JSONB(), server_default="[]", nullable=False))
    op.create_table(
        "api_keys",
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name=op.f("fk_api_keys_account_id")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_account_id"), "api_keys", ["account_id"], unique=False)
    op.create_table(
        "attached_files",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("attachment_id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Uuid(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("kept_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantine_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(object_id IS NULL) = (size IS NULL) AND (object_id IS NULL) = (digest IS NULL) AND (object_id IS NULL) = (media_type IS NULL)",
            name=op.f("ck_attached_files_stored_has_its_facts"),
        ),
        sa.ForeignKeyConstraint(
            ["quarantine_id"],
            ["quarantined.quarantine_id"],
            name=op.f("fk_attached_files_quarantine_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("account_id", "attachment_id", name=op.f("pk_attached_files")),
    )
    op.create_index(
        "ix_attached_files_kept_until",
        "attached_files",
        ["kept_until"],
        unique=False,
        postgresql_where=sa.text("kept_until IS NOT NULL"),
    )
    op.create_index(op.f("ix_attached_files_quarantine_id"), "attached_files", ["quarantine_id"], unique=False)
    op.create_table(
        "loose_objects",
        sa.Column("object_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("object_id", name=op.f("pk_loose_objects")),
    )
    op.create_index(op.f("ix_loose_objects_since"), "loose_objects", ["since"], unique=False)


def downgrade() -> None:
    op.drop_table("loose_objects")
    op.drop_table("attached_files")
    op.drop_table("api_keys")
    op.drop_column("messages", "attachments")
