"""Whatever happens in whatever order, a requester sees their ticket as it is, and everything is said once."""

import asyncio
import dataclasses
import itertools
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from services.portal import fresh_links, queries
from services.portal.handlers import NEWS_FOR
from services.portal.link import APART, OVERLAP, AccessLink
from services.portal.ticket import DESCRIPTION, Message, Ticket
from shared import contracts
from shared.public_pages.captcha import LIFETIME
from tests.builders import (
    ADA,
    RITA,
    a_reply_received,
    a_reply_sent,
    a_ticket,
    a_ticket_created,
    a_ticket_resolved,
    a_ticket_updated,
    an_account,
)
from tests.captcha import read_code
from tests.machine import REPEATS, Play, Telling, play, telling
from tests.portal.conftest import KEY, URL, everything_stored
from tests.stage import Stage

LINK_LIFETIME = timedelta(days=90)
PAUSES = (
    timedelta(minutes=5),
    timedelta(minutes=5),
    timedelta(hours=3),
    timedelta(days=5),
    timedelta(days=8),
    timedelta(days=50),
)
ACTS = (
    "updates",
    "closes",
    "closes",
    "resolves",
    "resolves by a rule",
    "answers",
    "answers",
    "notes",
    "hears by email",
)
RARE = (
    "the account is told",
    "the link is revoked",
    "the link is revoked",
    "the link is rotated",
    "the link is rotated",
    "a robot fills every field",
)
NOTE = "She is right, we broke it."

texts = st.sampled_from(["It broke again.", "Thank you!"])
statuses = st.sampled_from(["open", "pending", "resolved"])


@dataclass(frozen=True, eq=False)
class Form:
    """The reply form of a page somebody opened."""

    path: str
    generation: int
    fields: dict[str, str]
    opened_at: datetime


@dataclass
class Link:
    """A generation of the ticket's link."""

    expires_at: datetime
    made_at: datetime
    revoked: bool = False


class Expected:
    """What the requester must see and what must be said."""

    def __init__(self) -> None:
        self.account_known = False
        self.waiting: list[Any] = []
        self.newest: contracts.Ticket | None = None
        self.reopened_version = 0
        self.solved_version = 0
        self.messages: dict[tuple[str, str], tuple] = {}
        self.links: list[Link] = []
        self.mailed: list[tuple[str, int]] = []
        """Replies that are to be mailed, and the generation of their link."""
        self.spent: dict[Form, str] = {}
        """What was sent with a form."""

    @property
    def status(self) -> str:
        """A reply reopens what was pending or resolved, and a requester solves, until a later version is told of."""
        assert self.newest
        if self.newest.status == "closed":
            return "closed"
        if self.solved_version >= self.newest.version:
            return "resolved"
        reopened = self.newest.status in {"pending", "resolved"} and self.reopened_version >= self.newest.version
        return "open" if reopened else self.newest.status

    def hears(self, event: Any, now: datetime) -> None:
        """An event arrives, for the first time or not."""
        if isinstance(event, contracts.AccountUpdated):
            self.account_known = True
            for waiting in self.waiting:
                self.hears(waiting, now)
            self.waiting = []
        elif isinstance(event, contracts.ReplySent) and event.visibility != "public":
            pass
        elif self.account_known:
            self._learns(event.ticket, now)
            self._converses(event, now)
        elif event not in self.waiting:
            self.waiting.append(event)

    def _learns(self, ticket: contracts.Ticket, now: datetime) -> None:
        if self.newest is None:
            self.links.append(Link(now + LINK_LIFETIME, made_at=now))
        if self.newest is None or ticket.version > self.newest.version:
            self.newest = ticket

    def _converses(self, event: Any, now: datetime) -> None:
        match event:
            case contracts.TicketCreated():
                self._add("requester", DESCRIPTION, RITA.name, event.description, event.ticket.created_at)
            case contracts.TicketResolved():
                by = event.resolved_by.name if event.resolved_by else ""
                self._add("system", f"resolved/{event.ticket.version}", by, "resolved", event.resolved_at)
            case contracts.ReplyReceived():
                self._add("requester", event.reply_id, RITA.name, event.body, event.received_at)
            case contracts.ReplySent():
                is_new = self._add("agent", event.reply_id, event.author.name, event.body, event.sent_at)
                if is_new and now - event.sent_at < NEWS_FOR:
                    self._mails(event.reply_id, now)

    def _mails(self, reply_id: str, now: datetime) -> None:
        if self.links[-1].revoked:
            self.links.append(Link(now + LINK_LIFETIME, made_at=now))
        self.links[-1].expires_at = max(self.links[-1].expires_at, now + LINK_LIFETIME)
        self.mailed.append((reply_id, len(self.links)))

    def _add(self, kind: str, message_id: str, author: str, what: str, at: datetime) -> bool:
        is_new = (kind, message_id) not in self.messages
        self.messages.setdefault((kind, message_id), (author, what, at))
        return is_new

    def replied(self, received: contracts.ReplyReceived, now: datetime) -> None:
        """A reply of the page was taken."""
        assert self.newest
        self._add("requester", received.reply_id, RITA.name, received.body, now)
        if received.reopened:
            self._add("system", f"reopened/{received.reply_id}", RITA.name, f"reopened {self.status}", now)
            self.reopened_version = self.newest.version
            self.solved_version = 0

    def solved(self, solved: contracts.TicketSolved, now: datetime) -> None:
        """The requester's word was taken."""
        assert self.newest
        self._add("system", f"solved/{solved.solved_id}", RITA.name, "solved", now)
        self.solved_version = self.newest.version

    def rotates(self, now: datetime) -> None:
        """The next generation of the link is made; those before go on for a while."""
        for link in self.links:
            link.expires_at = min(link.expires_at, now + OVERLAP)
        self.links.append(Link(now + LINK_LIFETIME, made_at=now))

    def renewable(self, generation: int, now: datetime) -> bool:
        """Whether who holds a dead link gets a fresh one."""
        link = self.links[generation - 1]
        ages = [now - link.made_at for link in self.links[1:]]
        lately = sum(age < timedelta(days=1) for age in ages)
        return not link.revoked and now >= link.expires_at and lately < 3 and all(age >= APART for age in ages)

    def answer(self, form: Form, text: str, now: datetime) -> int:
        """The status that sending a form is answered with."""
        if not self.opens(form.generation, now):
            return 404
        if self.spent.get(form) == text and now < form.opened_at + LIFETIME:
            return 303
        if self.status == "closed":
            return 409
        return 422 if form in self.spent or now >= form.opened_at + LIFETIME else 303

    def opens(self, generation: int, now: datetime) -> bool:
        """Whether a link opens the ticket."""
        link = self.links[generation - 1]
        return not link.revoked and now < link.expires_at


class TicketPlay(Play):
    """A help desk that goes its way, a broker that delivers as it likes, a requester who comes at any moment."""

    told = Bundle("told")

    def __init__(self, stage: Stage, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(stage, loop)
        self.expected = Expected()
        self.versions = itertools.count(2)
        self.paths: dict[int, str] = {}
        self.mailed: list[tuple[str, str]] = []
        self.forms: list[Form] = []
        self.highest = (0, 0)

    def hears(self, event: contracts.Event) -> None:
        """Tell the model."""
        self.expected.hears(event, self.now)

    @initialize(target=told, known=st.sampled_from([True, True, True, True, False]), status=statuses)
    def an_agent_has_answered(self, known: bool, status: str) -> MultipleResults[Telling]:
        if known:
            self.hear(telling(an_account()))
        created = self.tells(a_ticket_created(), at_once=False)
        return multiple(created, self._act("answers", status, at_once=known))

    @rule(target=told, acts=st.lists(st.tuples(st.sampled_from(ACTS), statuses, st.booleans()), min_size=1, max_size=3))
    def the_help_desk_acts(self, acts: list[tuple[str, str, bool]]) -> MultipleResults[Telling]:
        return multiple(*(self._act(act, status, at_once=at_once) for act, status, at_once in acts))

    def _act(self, act: str, status: str, *, at_once: bool) -> Telling:
        version = next(self.versions)
        status = {"closes": "closed", "resolves": "resolved", "resolves by a rule": "resolved"}.get(act, status)
        ticket = a_ticket(version=version, status=status, subject=f"Subject {version}")
        written = {"reply_id": f"m-{version}", "body": f"Message {version}"}
        match act:
            case "updates" | "closes":
                event = a_ticket_updated(ticket=ticket)
            case "answers":
                event = a_reply_sent(ticket=ticket, sent_at=self.now, **written)
            case "notes":
                written["body"] = NOTE
                event = a_reply_sent(ticket=ticket, sent_at=self.now, visibility="internal", **written)
            case "hears by email":
                event = a_reply_received(ticket=ticket, received_at=self.now, **written)
            case _:
                by = ADA if act == "resolves" else None
                event = a_ticket_resolved(ticket=ticket, resolved_at=self.now, resolved_by=by)
        return self.tells(event, at_once=at_once)

    @rule(tellings=st.lists(told, min_size=1, max_size=3), how=st.sampled_from(REPEATS))
    def some_are_heard_at_the_same_moment(self, tellings: list[Telling], how: str) -> None:
        self.hear(*(telling.repeated(how) for telling in tellings))

    @precondition(lambda self: self.expected.links)
    @rule(target=told, sends=st.booleans(), text=texts, comes_back_at_once=st.booleans())
    def the_requester_opens_the_page(
        self, sends: bool, text: str, comes_back_at_once: bool
    ) -> MultipleResults[Telling]:
        """Open the page and send its form, or leave it open. What is said of a reply comes back."""
        generation = len(self.expected.links)
        page = self._look(generation)
        if "<form" not in page:
            return multiple()
        form = Form(self._path(generation), generation, read_code(page, KEY), self.now)
        self.forms.append(form)
        received = self._send(text, form) if sends else []
        return multiple(*(self.tells(event, at_once=comes_back_at_once) for event in received))

    @precondition(lambda self: self.forms)
    @rule(target=told, back=st.sampled_from([1, 1, 2, 3]), text=texts, the_same=st.booleans())
    def the_requester_sends_forms_of_pages_left_open(
        self, back: int, text: str, the_same: bool
    ) -> MultipleResults[Telling]:
        """Send one form twice and the newest, all at the same moment, with another text or the same as before."""
        form, newest = self.forms[-min(back, len(self.forms))], self.forms[-1]
        text = self.expected.spent.get(form, text) if the_same else text
        return multiple(*(self.tells(event, at_once=False) for event in self._send(text, form, form, newest)))

    @precondition(lambda self: self.expected.links)
    @rule(back=st.sampled_from([0, 0, 0, 1, 2]))
    def the_requester_marks_it_as_solved_twice_at_once(self, back: int) -> None:
        """Press the button of a page that is open, or of one behind an older link."""
        generation = max(1, len(self.expected.links) - back)
        path, opens = self._path(generation), self.expected.opens(generation, self.now)
        can_be_solved = self.expected.status in {"open", "pending"}
        before = self.expected.status
        answers = self.at_once(*(self.stage.client.post(f"{path}/solved") for _ in range(2)))

        to = f"{path}?solved=yes#solved" if opens else path
        assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [(303, to)] * 2
        said = self._said()
        assert [type(event) for event in said] == [contracts.TicketSolved] * (opens and can_be_solved)
        for solved in said:
            self.expected.solved(solved, self.now)
            assert solved.previous_status == before
            assert solved.ticket == dataclasses.replace(self.expected.newest, status="resolved")

    @precondition(lambda self: self.expected.links)
    @rule(back=st.sampled_from([0, 1, 2]), pause=st.sampled_from([None, *PAUSES]))
    def somebody_asks_twice_for_a_fresh_link(self, back: int, pause: timedelta | None) -> None:
        """Ask with the newest link or an older one, dead or alive, sometimes long after it was opened."""
        if pause:
            self.stage.clock.now += pause
        generation = max(1, len(self.expected.links) - back)
        path = f"{self._path(generation)}?fresh-link=yes"
        answers = self.at_once(*(self.stage.client.post(path) for _ in range(2)))

        assert [answer.status_code for answer in answers] == [200, 200]
        assert len({answer.text for answer in answers}) == 1
        renewed = [event for event in self._said() if isinstance(event, contracts.LinkRenewed)]
        assert len(renewed) == self.expected.renewable(generation, self.now)
        for event in renewed:
            self.expected.rotates(self.now)
            assert event.link.removeprefix(URL) == self._path(len(self.expected.links))
            assert event.ticket == dataclasses.replace(self.expected.newest, status=self.expected.status)

    def _send(self, text: str, *forms: Form) -> list[contracts.ReplyReceived]:
        post = self.stage.client.post
        answers = self.at_once(*(post(form.path, data={"body": text, **form.fields}) for form in forms))

        expected = [self.expected.answer(form, text, self.now) for form in forms]
        assert [answer.status_code for answer in answers] == expected
        taken = {form for form, status in zip(forms, expected, strict=True) if status == 303} - set(self.expected.spent)
        self.expected.spent.update(dict.fromkeys(taken, text))
        return self._told_of_replies([text] * len(taken))

    def _told_of_replies(self, texts: list[str]) -> list[contracts.ReplyReceived]:
        """Look at what was said about replies, of which any one reopens, and tell the model which."""
        said = self._said()
        received = [event for event in said if isinstance(event, contracts.ReplyReceived)]
        reopened = [event for event in said if isinstance(event, contracts.TicketReopened)]
        previous_status = self.expected.status
        reopens = bool(texts) and previous_status in {"pending", "resolved"}
        assert len(said) == len(received) + len(reopened)
        assert [event.body for event in received] == texts
        assert [event.previous_status for event in reopened] == [previous_status] * reopens
        assert [event.reply_id for event in reopened] == [event.reply_id for event in received if event.reopened]
        for event in received:
            self.expected.replied(event, self.now)
        for event in said:
            assert event.ticket == dataclasses.replace(self.expected.newest, status=self.expected.status)
        return received

    @rule(passing=st.sampled_from([*PAUSES, None, None]), what=st.sampled_from(RARE))
    def time_passes_or_something_rare_happens(self, passing: timedelta | None, what: str) -> None:
        if passing:
            self.stage.clock.now += passing
        elif what == "the account is told":
            self.hear(telling(an_account()))
        elif what == "the link is revoked":
            self.run(self._revoke())
            for link in self.expected.links:
                link.revoked = True
        elif what == "the link is rotated" and self.expected.links:
            self.run(self._rotate())
            self.expected.rotates(self.now)
        elif self.expected.links:
            fields = {"body": "Buy now", "website": "http://spam.example"}
            answer = self.run(self.stage.client.post(self._path(1), data=fields))
            assert answer.status_code == (303 if self.expected.opens(1, self.now) else 404)

    async def _revoke(self) -> None:
        async with self.stage.service.sessions.begin() as session:
            for link in await session.scalars(queries.links_of("acme", "T-1")):
                link.revoke(self.now)

    async def _rotate(self) -> None:
        async with self.stage.service.sessions.begin() as session:
            ticket = (await session.scalars(queries.ticket_of("acme", "T-1"))).one()
            links = (await session.scalars(queries.links_of("acme", "T-1"))).all()
            session.add(self.stage.service.provided["links"].rotate(links, ticket, self.now))

    def _said(self) -> list[Any]:
        """What was said since the last look; mail is put aside."""
        said = self.run(self.stage.said())
        mail = [event for event in said if isinstance(event, contracts.ReplyPublished)]
        self.mailed += [(event.reply_id, event.link.removeprefix(URL)) for event in mail]
        return [event for event in said if not isinstance(event, contracts.ReplyPublished)]

    def _path(self, generation: int) -> str:
        if generation not in self.paths:
            link = self.run(self.stage.row(AccessLink, generation=generation))
            self.paths[generation] = self.stage.service.provided["links"].url(link).removeprefix(URL)
        return self.paths[generation]

    def _look(self, generation: int) -> str:
        """Open the page behind a link, which shows the ticket as it is, or nothing."""
        answer = self.get(self._path(generation))
        page = answer.text
        if not self.expected.opens(generation, self.now):
            assert answer.status_code == 404
            return page
        shown = [tuple(found) for found in re.findall(r'<article [^>]*id="(\w+)-([^"]+)"', page)]
        times = [self.expected.messages[message][2] for message in shown]
        is_closed = self.expected.status == "closed"
        assert f"Status: </span>{self.expected.status.capitalize()}" in page
        assert sorted(shown) == sorted(self.expected.messages)
        assert times == sorted(times)
        assert ("This ticket is closed" in page, "<form" in page) == (is_closed, not is_closed)
        assert ("Mark as solved" in page) == (self.expected.status in {"open", "pending"})
        return page

    @invariant()
    def every_reply_is_mailed_once_with_the_link_that_opens(self) -> None:
        assert self._said() == []
        expected = [(reply_id, self._path(generation)) for reply_id, generation in self.expected.mailed]
        assert sorted(self.mailed) == sorted(expected)

    @invariant()
    def every_message_is_there_once(self) -> None:
        stored = {
            (message.kind, message.message_id): (message.author_name, _what(message), message.sent_at)
            for message in self.run(self.stage.rows(Message))
        }
        assert stored == self.expected.messages

    @invariant()
    def the_newest_version_is_known_and_versions_only_grow(self) -> None:
        for ticket in self.run(self.stage.rows(Ticket)):
            assert ticket.snapshot == self.expected.newest
            assert ticket.version >= self.highest[0]
            assert ticket.reopened_version >= self.highest[1]
            self.highest = ticket.version, ticket.reopened_version

    def teardown(self) -> None:
        """Look at what takes longer at the end only."""
        for generation in range(1, len(self.expected.links) + 1):
            self._look(generation)
        reasons = self.run(self.stage.dead_letters())
        assert set(reasons) == ({"waits for acme"} if self.expected.waiting else set())
        assert NOTE not in self.run(everything_stored(self.stage))


def _what(message: Message) -> str:
    return message.body or f"{message.happening} {message.previous_status or ''}".strip()


@pytest.mark.timeout(900)  # seconds, but for a machine that has other things to do
def test_a_requester_sees_their_ticket_as_it_is_whatever_happens(
    portal_stage: Stage, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events in any order, repeated, late; replies and solutions at any moment, sent twice; links of every fate."""
    monkeypatch.setattr(fresh_links, "ANSWERED_AFTER_SECONDS", 0)
    play(lambda: TicketPlay(portal_stage, loop))
