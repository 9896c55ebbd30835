"""One ticket of an account of its own, so that journeys share a broker and do not meet."""

from datetime import UTC, datetime
from uuid import uuid4

from shared.contracts import AccountUpdated, Agent, ReplySent, Requester, Ticket, TicketCreated, TicketResolved
from tests.builders import a_reply_sent, a_ticket, a_ticket_created, a_ticket_resolved, an_account
from tests.captcha import solved_widget
from tests.product import Product


class Case:
    """One ticket of an account of its own."""

    def __init__(self) -> None:
        self.account_id = f"account-{uuid4().hex[:12]}"
        self.requester = Requester(requester_id="r", name="Rita Gómez", email=f"rita@{self.account_id}.example")
        self.assignee = Agent(agent_id="ada", name="Ada Okafor", email=f"ada@{self.account_id}.example")
        self.watcher = Agent(agent_id="ben", name="Ben Suzuki", email=f"ben@{self.account_id}.example")

    def ticket(self, version: int, status: str = "open") -> Ticket:
        """The ticket at a version."""
        return a_ticket(
            ticket_id="T-1",
            version=version,
            status=status,
            requester=self.requester,
            assignee=self.assignee,
            watchers=(self.watcher,),
        )

    def account(self) -> AccountUpdated:
        """The account."""
        return an_account(account_id=self.account_id)

    def created(self) -> TicketCreated:
        """The ticket's first event."""
        return a_ticket_created(account_id=self.account_id, ticket=self.ticket(1))

    def answered(self, version: int = 2, status: str = "open") -> ReplySent:
        """The agent's reply."""
        return a_reply_sent(
            account_id=self.account_id,
            ticket=self.ticket(version, status),
            reply_id=f"{self.account_id}-{version}",
            sent_at=datetime.now(UTC),
        )

    def resolved(self, version: int) -> TicketResolved:
        """The resolution."""
        return a_ticket_resolved(
            account_id=self.account_id, ticket=self.ticket(version, "resolved"), resolved_at=datetime.now(UTC)
        )


async def reply(product: Product, link: str, body: str) -> None:
    """Answer on the portal as a browser would."""
    solved = await solved_widget(product.http, f"{link}/challenge")
    answer = await product.http.post(link, data={"body": body, **solved})
    assert answer.status_code == 303, answer.text


async def rate(product: Product, link: str, score: int, comment: str) -> None:
    """Answer the survey as a browser would."""
    solved = await solved_widget(product.http, f"{link}/challenge")
    answer = await product.http.post(link, data={"score": str(score), "comment": comment, **solved})
    assert answer.status_code == 303, answer.text
