"""Keys that open an API to programs, as a bearer token.

A key is `cl_<id>_<secret>`: the id names it to operators, the secret has 256 random bits, so a plain SHA-256 digest is
enough to keep. Unknown, malformed and revoked keys are told apart by nobody.
"""

import hmac
import re
import secrets
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from litestar import Request
from litestar.exceptions import NotAuthorizedException
from sqlalchemy import Select, Text, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from shared.chassis.database import Timestamp
from shared.public_pages.access_links import digest

K = TypeVar("K", bound="ApiKeyColumns")

_SHAPE = re.compile(r"cl_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


_NAMING = len("cl_") + 12


def name_of(key: str) -> str:
    """Tell the beginning of a key, which names it and is no secret, or that of whatever was brought as one."""
    return key[:_NAMING]


class ApiKeyColumns:
    """Columns of a service's `api_keys` table, beside the account it opens. Only a key's digest is kept."""

    key_id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes]
    created_at: Mapped[Timestamp]
    revoked_at: Mapped[Timestamp | None]


def new_key(table: type[K], name: str, now: datetime, **opens: Any) -> tuple[K, str]:
    """Make the row to store and the key to hand over, which cannot be had again. `opens` is what the key opens."""
    key_id = secrets.token_hex(6)
    key = f"cl_{key_id}_{secrets.token_urlsafe(32)}"
    facts: dict[str, Any] = {"key_id": key_id, "name": name, "digest": digest(key), "created_at": now, **opens}
    return table(**facts), key


@cache  # putting it together takes as long as asking it
def _by_id(table: type[K]) -> Select[K]:
    return select(table).where(table.key_id == bindparam("id"), table.revoked_at.is_(None))


def id_of(key: str) -> str | None:
    """Read the id of a key; None for any text that cannot be one."""
    shape = _SHAPE.fullmatch(key)
    return shape[1] if shape else None


async def row_of(key: str, table: type[K], session: AsyncSession) -> K | None:
    """Find the row of a key; None for any text that opens nothing."""
    key_id = id_of(key)
    if key_id is None:
        return None
    row = await session.scalar(_by_id(table), {"id": key_id})
    return row if row is not None and hmac.compare_digest(row.digest, digest(key)) else None


def brought_key(request: Request, realm: str) -> str:
    """Read the key a request brings. Raises NotAuthorizedException (401), which says how to (RFC 6750, section 3)."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthorizedException(
            "Send an API key: Authorization: Bearer cl_…", headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}
        )
    return key.strip()


def opens_nothing(realm: str) -> NotAuthorizedException:
    """Make the refusal of a key (401)."""
    return NotAuthorizedException(
        "This API key opens nothing. It may be mistyped or revoked.",
        headers={"WWW-Authenticate": f'Bearer realm="{realm}", error="invalid_token"'},
    )
