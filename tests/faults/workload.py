"""The workload: a seeded stream of operations at a steady rate, each journaled before it is done and after it ended."""

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage

import httpx

from shared.public_pages.captcha import CodeToRead
from tests.captcha import read_code
from tests.faults.desk import Case, Desk
from tests.faults.journal import Journal, Kind, Operation, Outcome
from tests.faults.visits import Visitors
from tests.product import KEY, HelpDesk
from tests.stage import delivery_of

TICKETS = 200
WEIGHTS: dict[Kind, int] = {"create": 22, "answer": 16, "update": 8, "resolve": 16, "reply": 22, "rate": 16}
AGAIN_SECONDS = 1.0
TRIES = 20
"""How often somebody sends a form again who got no proper answer."""


class Workload:
    """Does operations on a desk's tickets until it is told to stop."""

    def __init__(
        self, name: str, desk: Desk, *, helpdesk: HelpDesk, visitors: Visitors, journal: Journal, seed: str
    ) -> None:
        self.desk = desk
        self._name = name
        self._helpdesk = helpdesk
        self._visitors = visitors
        self._journal = journal
        self._rng = random.Random(f"{seed}/{name}/workload")
        self._captcha = CodeToRead(KEY)
        self._number = 0
        self._stopping = False
        self._loop: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def start(self, rate: float) -> None:
        """Begin `rate` operations a second."""
        self._stopping = False
        self._loop = asyncio.create_task(self._go_on(rate), name="workload")

    async def stop(self, patience: float = 90) -> None:
        """Begin no more and wait for those that run; who is not back then is unknown."""
        self._stopping = True
        if self._loop:
            self._loop.cancel()
            await asyncio.wait([self._loop])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._helpdesk.flush()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=patience)
            for operation in late:
                operation.cancel()

    def got_mail(self, recipient: str, letter: EmailMessage) -> None:
        """Take survey links out of what a requester gets."""
        case = self.desk.by_address.get(recipient)
        if case is None:
            return
        text = letter.get_body(("plain",)).get_content()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        if found := re.search(r"/s/([\w-]{43})", text):
            case.survey_links.append(found[1])

    async def _go_on(self, rate: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            operation = asyncio.create_task(self._next())
            self._running.add(operation)
            operation.add_done_callback(self._running.discard)
            due = max(due + 1 / rate, loop.time() - 1)
            await asyncio.sleep(max(due - loop.time(), 0))

    async def _next(self) -> None:
        kind, case = self._choose()
        self._number += 1
        operation = Operation(f"{self._name}-{self._number:05}", kind, case.account_id, case.ticket_id)
        match kind:
            case "reply":
                await self._reply(operation, case)
            case "rate":
                await self._rate(operation, case)
            case _:
                await self._tell(operation, case)

    def _choose(self) -> tuple[Kind, Case]:
        known = [case for case in self.desk.cases[-TICKETS:] if case.is_told]
        (kind,) = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
        asked = [case for case in known if case.survey_links] if kind == "rate" else []
        if kind == "rate" and not asked:
            kind = "reply"
        if kind == "create" or not known:
            return "create", self.desk.open_case()
        return kind, self._rng.choice(asked or known)

    async def _tell(self, operation: Operation, case: Case) -> None:
        """Say something over Kafka, as the help desk does."""
        async with case.lock:
            event = self.desk.event(operation, case)
            await self._journal.invoked(operation)
            try:
                sent = await self._helpdesk.sends(delivery_of(event, event_id=operation.id))
            except Exception as failure:  # noqa: BLE001 - whatever the client says, we do not know
                await self._journal.ended(operation, "unknown", type(failure).__name__)
                return
        try:
            await sent
        except Exception as failure:  # noqa: BLE001 - whatever the client says, we do not know
            await self._journal.ended(operation, "unknown", type(failure).__name__)
        else:
            case.is_told = True
            await self._journal.ended(operation, "ok")

    async def _reply(self, operation: Operation, case: Case) -> None:
        """Answer a ticket on the portal."""
        challenge = self._captcha.challenge(case.purpose, datetime.now(UTC))
        form = {
            "body": f"{operation.mark} from the requester",
            "captcha_challenge": challenge,
            "captcha_code": self._captcha.code(challenge),
        }
        await self._journal.invoked(operation)

        async def send() -> tuple[Outcome, str]:
            answer = await self._visitors.ask("portal", "POST", "/t/{token}", case.token, form=form)
            return _judged(answer, "?sent=yes#sent")

        await self._insist(operation, send)
        if self._rng.random() < 0.1:
            with contextlib.suppress(httpx.TransportError):
                await self._visitors.ask("portal", "GET", "/t/{token}", case.token)

    async def _rate(self, operation: Operation, case: Case) -> None:
        """Open the newest survey and rate."""
        operation.score = self._rng.choice((1, 2, 3, 4, 4, 5, 5, 5))
        token = case.survey_links[-1]
        if self._rng.random() < 0.9:  # else somebody else rates the same survey, which is refused then
            case.survey_links.clear()
        await self._journal.invoked(operation)
        form = {"score": str(operation.score), "comment": f"{operation.mark} and thanks"}

        async def send() -> tuple[Outcome, str]:
            if "captcha_code" not in form:
                page = await self._visitors.ask("surveys", "GET", "/s/{token}", token)
                if page.status_code != 200 or "captcha_challenge" not in page.text:
                    return "fail", f"page {page.status_code}"
                form.update(read_code(page.text, KEY))
            return _judged(
                await self._visitors.ask("surveys", "POST", "/s/{token}", token, form=form), f"/s/{token}/thanks"
            )

        await self._insist(operation, send)

    async def _insist(self, operation: Operation, send: Callable[[], Awaitable[tuple[Outcome, str]]]) -> None:
        """Send a form, twice at the same moment now and then, and again while there is no proper answer."""
        clicks = 2 if self._rng.random() < 0.05 else 1
        patient = self._rng.random() < 0.7
        outcome, reason = "fail", ""
        try:
            for _ in range(TRIES):
                answers = await asyncio.gather(*(_attempt(send) for _ in range(clicks)))
                best = next(
                    (answer for word in ("ok", "unknown") for answer in answers if answer[0] == word), answers[0]
                )
                outcome, reason = ("unknown", best[1]) if outcome == "unknown" and best[0] == "fail" else best
                again = outcome == "unknown" or reason == "ConnectError" or reason.endswith(("503", "404"))
                if not again or not patient or (self._stopping and outcome == "fail"):
                    break
                await asyncio.sleep(AGAIN_SECONDS)
        except asyncio.CancelledError:
            await self._journal.ended(operation, "unknown", "the harness lost patience")
            raise
        await self._journal.ended(operation, outcome, reason)


async def _attempt(send: Callable[[], Awaitable[tuple[Outcome, str]]]) -> tuple[Outcome, str]:
    try:
        return await send()
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return "fail", "ConnectError"  # it was never sent
    except httpx.TransportError as failure:
        return "unknown", type(failure).__name__


def _judged(answer: httpx.Response, success: str) -> tuple[Outcome, str]:
    """Tell from an answer to a form what became of it. A 5xx may come after the commit, so it tells nothing."""
    where = answer.headers.get("Location", "")
    if answer.status_code == 303:
        return ("ok", "") if where.endswith(success) else ("fail", "not open")
    return ("unknown" if answer.status_code >= 500 else "fail"), f"status {answer.status_code}"
