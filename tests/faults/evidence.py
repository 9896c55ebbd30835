"""Everything that is known after a row has come to rest: databases, Kafka's log, mailbox, answers. Oracles judge it."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from tests.faults.api import REPORTS, address_of, make_key
from tests.faults.desk import Desk
from tests.faults.journal import Operation
from tests.faults.log import Entry, Log
from tests.faults.system import Absence, System
from tests.faults.visits import Visit, Visitors
from tests.product import SERVICES

Rows = list[asyncpg.Record]

_TABLES = (
    ("portal", "tickets"),
    ("portal", "messages"),
    ("surveys", "surveys"),
    ("surveys", "skipped_surveys"),
    ("notifier", "emails"),
    ("reports", "ratings"),
)

_MARK = re.compile(r"op:([\w-]+)")
_TOKEN = re.compile(r"/s/([\w-]{43})")


@dataclass(frozen=True, slots=True)
class Letter:
    """One email that the mail server took: whom for, its Message-ID, and what names the event it is about."""

    recipient: str
    message_id: str
    about: str


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter."""

    service: str
    id: int
    topic: str
    partition: int
    offset: int
    awaits: str | None
    reason: str


@dataclass(kw_only=True)
class Evidence:
    """What there is of one row. Rows of a table are as the database has them."""

    operations: dict[str, Operation]
    log: list[Entry]
    names_in_log: set[tuple[str, str]]
    said: dict[str, Rows]
    outbox: dict[str, int]
    inbox: dict[str, set[tuple[str, str, str]]]
    dead: list[Dead]
    tickets: Rows
    messages: Rows
    surveys: Rows
    skipped_surveys: Rows
    emails: Rows
    ratings: Rows
    letters: list[Letter]
    answers: dict[str, dict[str, Any]]
    visits: list[Visit]
    absences: list[Absence]
    account_ids: list[str]
    zones: dict[str, ZoneInfo]
    expected_dead: set[tuple[str, str, int, int]] = field(default_factory=set)
    allowed_repeats: int = 0
    undeliverable: frozenset[str] = frozenset()
    """Recipients whose emails the mail server refused for good."""

    def of_topic(self, topic: str) -> list[Entry]:
        """The log's readable events of a topic, each once, first occurrences in their order."""
        first: dict[tuple[str, str], Entry] = {}
        for entry in self.log:
            if entry.topic == topic and entry.facts is not None:
                first.setdefault(entry.name, entry)
        return list(first.values())


async def gather(
    *,
    system: System,
    log: Log,
    desk: Desk,
    operations: dict[str, Operation],
    visits: list[Visit],
    since: datetime,
    letters_before: int,
) -> Evidence:
    """Collect it. Everything must have come to rest."""
    visitors = Visitors(system)
    accounts = desk.account_ids
    entries = await log.read_to_end()
    said, outbox, inbox, dead = {}, {}, {}, []
    for service in SERVICES:
        async with system.admin(service) as database:
            said[service] = await database.fetch(
                "SELECT * FROM faults.said WHERE split_part(key, '/', 1) = ANY($1) ORDER BY id", accounts
            )
            outbox[service] = await database.fetchval("SELECT count(*) FROM outbox")
            taken = await database.fetch("SELECT topic, source, event_id FROM inbox WHERE received_at >= $1", since)
            inbox[service] = {(row["topic"], row["source"], row["event_id"]) for row in taken}
            letters = await database.fetch(
                'SELECT id, topic, "partition", "offset", awaits, reason FROM dead_letters WHERE died_at >= $1', since
            )
            dead += [Dead(service, *letter) for letter in letters]
    tables = {name: await _rows(system, service, name, accounts) for service, name in _TABLES}
    async with system.admin("reports") as reports:
        keys = {account: await make_key(reports, account) for account in accounts if await _knows(reports, account)}
    answers = {account: await _answers(visitors, key) for account, key in keys.items()}
    await visitors.close()
    return Evidence(
        operations=operations,
        log=[entry for entry in entries if entry.account_id in accounts],
        names_in_log={entry.name for entry in entries},
        said=said,
        outbox=outbox,
        inbox=inbox,
        dead=dead,
        letters=list(_letters(system, letters_before)),
        answers=answers,
        visits=[*visits, *visitors.visits],
        absences=system.absences,
        account_ids=accounts,
        zones=desk.zones,
        **tables,
    )


async def _rows(system: System, service: str, table: str, accounts: Sequence[str]) -> Rows:
    async with system.admin(service) as database:
        return await database.fetch(f"SELECT * FROM {table} WHERE account_id = ANY($1)", accounts)


async def _knows(reports: asyncpg.Connection, account_id: str) -> bool:
    return await reports.fetchval("SELECT true FROM accounts WHERE account_id = $1", account_id) or False


async def _answers(visitors: Visitors, key: str) -> dict[str, Any]:
    """What the API says of an account."""
    answers = {}
    for report in REPORTS:
        answer = await visitors.ask("reports", "GET", address_of(report), key=key)
        answer.raise_for_status()
        answers[report] = answer.json()
    return answers


def _letters(system: System, before: int) -> Iterable[Letter]:
    mailbox = system.mailbox
    for letter, (_, recipient) in zip(mailbox.letters[before:], mailbox.envelopes[before:], strict=True):
        text = letter.get_body(("plain",)).get_content()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        found = _MARK.search(text) or _TOKEN.search(text)
        yield Letter(recipient, str(letter["Message-ID"]), found[1] if found else "")


async def fingerprint(system: System) -> dict[str, str]:
    """A digest of everything each service keeps, but for what Kafka's delivery itself leaves."""

    async def of_service(service: str) -> str:
        async with system.admin(service) as database:
            names = await database.fetch(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename NOT IN ('alembic_version', 'inbox', 'outbox', 'api_keys', 'rate_limit_buckets')"
                " ORDER BY 1"
            )
            digests = [
                await database.fetchval(
                    f"SELECT md5(coalesce(string_agg(row, '|' ORDER BY row), ''))"
                    f" FROM (SELECT t::text AS row FROM {name['tablename']} t) AS rows"
                )
                for name in names
            ]
            return " ".join(f"{name['tablename']}:{digest}" for name, digest in zip(names, digests, strict=True))

    return dict(zip(SERVICES, await asyncio.gather(*map(of_service, SERVICES)), strict=True))
