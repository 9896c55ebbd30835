"""The help desk of a run: its accounts, its tickets with their versions, and what it says about them."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shared.contracts import AccountUpdated, Agent, Event, Requester, Ticket
from shared.public_pages.access_links import AccessLinks
from tests.builders import a_reply_sent, a_ticket, a_ticket_created, a_ticket_resolved, a_ticket_updated, an_account
from tests.faults.journal import Operation
from tests.product import KEY

ACCOUNTS = 4
AGENTS = 6
TIME_ZONES = ("UTC", "Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata")


@dataclass(slots=True, eq=False)
class Case:
    """One ticket as the help desk knows it, and what its requester holds in hand."""

    account_id: str
    ticket_id: str
    requester: Requester
    assignee: Agent | None
    watchers: tuple[Agent, ...]
    version: int = 0
    is_told: bool = False
    """Whether its first event is known to be on Kafka."""
    survey_links: list[str] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Versions leave in order."""

    @property
    def token(self) -> str:
        """The first link's token, which the portal's key makes."""
        return AccessLinks(KEY, purpose="ticket", base_url="", path="t").token(self.account_id, self.ticket_id, 1)

    @property
    def purpose(self) -> str:
        """What a captcha of its reply form is bound to."""
        return f"ticket:{self.account_id}/{self.ticket_id}"


class Desk:
    """Makes what the help desk says. Names begin with `name`, so that no two rows meet."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.account_ids = [f"{name}-{number}" for number in range(1, ACCOUNTS + 1)]
        self.cases: list[Case] = []
        self.by_address: dict[str, Case] = {}
        self._name = name
        self._rng = rng
        self._made = 0

    @property
    def zones(self) -> dict[str, ZoneInfo]:
        """In which time zone each account counts its days."""
        return dict(zip(self.account_ids, map(ZoneInfo, TIME_ZONES), strict=True))

    def accounts(self) -> list[AccountUpdated]:
        """What is told about each account."""
        return [
            an_account(account_id=account_id, name=f"Account {account_id}", time_zone=zone)
            for account_id, zone in zip(self.account_ids, TIME_ZONES, strict=True)
        ]

    def open_case(self) -> Case:
        """Make a ticket that nobody was told of yet."""
        self._made += 1
        account_id = self._rng.choice(self.account_ids)
        ticket_id = f"{self._name}-t{self._made}"
        address = f"{ticket_id}@{account_id}.example"
        agents = [
            Agent(agent_id=f"agent-{number}", name=f"Agent {number}", email=f"{ticket_id}.{number}@desk.example")
            for number in self._rng.sample(range(AGENTS), 3)
        ]
        case = Case(
            account_id=account_id,
            ticket_id=ticket_id,
            requester=Requester(requester_id=ticket_id, name=f"Requester {self._made}", email=address),
            assignee=agents[0] if self._rng.random() < 0.9 else None,
            watchers=tuple(agents[1 : self._rng.randint(1, 3)]),
        )
        self.cases.append(case)
        self.by_address[address] = case
        return case

    def event(self, operation: Operation, case: Case) -> Event:
        """What the help desk says by doing an operation; the ticket gets its next version."""
        case.version += 1
        operation.version = case.version
        facts: dict[str, Any] = {"account_id": case.account_id}
        now = datetime.now(UTC)
        text = f"{operation.mark} of {case.ticket_id}"
        match operation.kind:
            case "create":
                return a_ticket_created(**facts, ticket=self._ticket(case, "open"), description=text)
            case "answer":
                return a_reply_sent(
                    **facts,
                    ticket=self._ticket(case, "pending"),
                    reply_id=operation.id,
                    author=case.assignee or Agent(agent_id="agent-0", name="Agent 0", email="0@desk.example"),
                    body=text,
                    sent_at=now,
                )
            case "update":
                return a_ticket_updated(**facts, ticket=self._ticket(case, self._rng.choice(["open", "pending"])))
            case "resolve":
                return a_ticket_resolved(
                    **facts, ticket=self._ticket(case, "resolved"), resolved_at=now, resolved_by=case.assignee
                )
        raise ValueError(operation.kind)

    def _ticket(self, case: Case, status: str) -> Ticket:
        return a_ticket(
            ticket_id=case.ticket_id,
            version=case.version,
            status=status,
            subject=f"Ticket {case.ticket_id}",
            requester=case.requester,
            assignee=case.assignee,
            watchers=case.watchers,
        )
