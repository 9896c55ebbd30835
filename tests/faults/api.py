"""The API of the reports: how the harness gets in, and what it asks."""

from datetime import UTC, datetime, timedelta

import asyncpg

from services.reports.tables import ApiKey
from shared.public_pages.api_keys import new_key

REPORTS = ("summary", "distribution", "agents", "trend")


async def make_key(reports: asyncpg.Connection, account_id: str) -> str:
    """Make an API key, as the command does, without the seconds that a process of its own takes."""
    row, key = new_key(ApiKey, "faults", datetime.now(UTC), account_id=account_id)
    await reports.execute(
        "INSERT INTO api_keys (key_id, account_id, name, digest, created_at) VALUES ($1, $2, $3, $4, $5)",
        *(row.key_id, row.account_id, row.name, row.digest, row.created_at),
    )
    return key


def address_of(report: str) -> str:
    """Ask for the days around today, whatever the account's time zone and however far a clock is off."""
    start, end = (datetime.now(UTC).date() + timedelta(days=days) for days in (-2, 3))
    return f"/api/v1/csat/{report}?from={start}&to={end}"
