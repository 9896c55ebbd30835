"""Alembic's entry: runs inside the connection and transaction that shared.chassis.migrations opened."""

from typing import Any, Literal

from alembic import context

from shared.chassis.database import Json

metadata = context.config.attributes.get("metadata")


def _name_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Migrations name PostgreSQL's type, not our class, which may change after they were written."""
    return "postgresql.JSONB()" if kind == "type" and isinstance(item, Json) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # A service's migration sees the service's tables only; the chassis has a branch of its own.
    include_name=lambda name, kind, _: kind != "table" or metadata is None or name in metadata.tables,
    render_item=_name_type,
)
context.run_migrations()
