"""A mail server that fails at every point of the conversation, and a notifier that dies there: nothing is lost.

Each fault is real: a server that refuses, breaks off, falls silent or trickles, and a process that is killed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier import dispatch, mail
from services.notifier.emails import LEASE, Email
from services.notifier.mail import Later
from services.notifier.tables import Suppression
from tests.builders import an_account
from tests.notifier.conftest import RITAS, Post, leases_run, replies, replies_to, stopped, until
from tests.notifier.mailbox import EVERYBODY, Mailbox
from tests.stage import Stage

ROOT = Path(__file__).parents[2]


def possibly_repeated() -> float:
    """How many emails of replies may have gone out twice so far."""
    labels = {"kind": "reply_published"}
    return REGISTRY.get_sample_value("closeloop_emails_possibly_repeated_total", labels) or 0.0


def refusals(code: int) -> float:
    """How often the mail server said a code so far."""
    return REGISTRY.get_sample_value("closeloop_smtp_refusals_total", {"code": str(code)}) or 0.0


def refuse_the_connection(mailbox: Mailbox, answer: str) -> None:
    mailbox.greeting = answer


def refuse_the_sender(mailbox: Mailbox, answer: str) -> None:
    mailbox.refuse_sender = answer


def refuse_the_recipient(mailbox: Mailbox, answer: str) -> None:
    mailbox.refuse[RITAS] = answer


def refuse_the_text(mailbox: Mailbox, answer: str) -> None:
    mailbox.refuse_text[RITAS] = answer


STAGES = (refuse_the_connection, refuse_the_sender, refuse_the_recipient, refuse_the_text)


def mend(mailbox: Mailbox) -> None:
    """Make it take everything again."""
    mailbox.greeting = mailbox.refuse_sender = mailbox.hang_up_on = mailbox.silent_on = mailbox.babble_on = None
    mailbox.slow_on = None
    mailbox.refuse.clear()
    mailbox.refuse_text.clear()


@pytest.mark.parametrize("refuse", STAGES)
@pytest.mark.parametrize("answer", ["421 4.3.2 closing", "450 4.2.1 busy", "451 4.7.1 greylisted"])
async def test_what_is_refused_for_now_goes_out_later(
    notifier: Stage, mailbox: Mailbox, post: Post, refuse: Callable[[Mailbox, str], None], answer: str
) -> None:
    """At whatever stage a server says 4xx, the email waits and then arrives, once; the refusal is counted."""
    code = int(answer[:3])
    before = refusals(code)
    refuse(mailbox, answer)
    await replies(notifier, 1)

    with suppress(Later):
        await post.goes_out()
    email = await notifier.row(Email)
    assert (email.state, email.unsettled) == ("queued", False)
    assert email.attempts == (0 if refuse is refuse_the_connection else 1)
    assert refusals(code) == before + 1

    mend(mailbox)
    notifier.later(seconds=13)
    await post.goes_out()
    assert len(mailbox.letters) == 1
    assert await notifier.said() == []


@pytest.mark.parametrize("refuse", STAGES)
@pytest.mark.parametrize("answer", ["530 5.7.0 must authenticate", "535 5.7.8 bad credentials"])
async def test_a_server_that_wants_another_log_in_fails_no_email(
    notifier: Stage, mailbox: Mailbox, post: Post, refuse: Callable[[Mailbox, str], None], answer: str
) -> None:
    """That our password is wrong is not the emails' fault, at whatever stage the server finds it out."""
    refuse(mailbox, answer)
    await replies(notifier, 1)

    with suppress(Later):
        await post.goes_out()
    assert (await notifier.row(Email)).state == "queued"

    mend(mailbox)
    notifier.later(seconds=13)
    await post.goes_out()
    assert len(mailbox.letters) == 1


@pytest.mark.parametrize("refuse", [refuse_the_recipient, refuse_the_text])
@pytest.mark.parametrize("answer", ["550 no", "552 5.2.2 over quota", "554 5.7.1 looks like spam"])
async def test_what_is_refused_for_good_fails_at_once_and_its_address_is_still_written_to(
    notifier: Stage, mailbox: Mailbox, post: Post, refuse: Callable[[Mailbox, str], None], answer: str
) -> None:
    """A 5xx is final for the email, and says nothing against the address unless its code does."""
    refuse(mailbox, answer)
    await replies(notifier, 1)

    await post.goes_out()

    assert (await notifier.row(Email)).failed_reason == "bounced"
    assert await notifier.count(Suppression) == 0


async def test_a_letter_that_is_too_large_for_the_server_fails_at_once(notifier: Stage, post: Post) -> None:
    """Servers that announce a limit refuse the sender by it, before they see the letter."""
    await post.mailbox.close()
    await post.mailbox.open(data_size_limit=1000)
    await replies(notifier, 1)

    await post.goes_out()

    email = await notifier.row(Email)
    assert (email.failed_reason, email.last_error) == ("bounced", "SMTPSenderRefused 552")


async def test_a_connection_cut_before_the_answer_costs_one_email_a_try_and_is_counted_as_a_possible_repeat(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """Whether the server took the letter is not known, so it is sent again under the same Message-ID."""
    mailbox.hang_up_on = RITAS
    await replies(notifier, 3)
    before = possibly_repeated()

    with pytest.raises(Later, match="connection lost"):
        await post.goes_out()
    assert sorted(email.attempts for email in await notifier.rows(Email)) == [0, 0, 1]
    assert possibly_repeated() == before

    mend(mailbox)
    notifier.later(seconds=13)
    await post.goes_out()
    assert len(mailbox.letters) == 3
    assert possibly_repeated() == before + 1


async def test_a_connection_cut_after_the_answer_costs_nothing(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """The server said that it has the letter, and that is enough."""
    mailbox.hang_up_after = RITAS
    await replies(notifier, 2)
    before = possibly_repeated()

    for _ in range(4):
        with suppress(Later):
            await post.goes_out()
        notifier.later(hours=1)

    assert len(mailbox.letters) == len({letter["Message-ID"] for letter in mailbox.letters}) == 2
    assert {email.state for email in await notifier.rows(Email)} == {"sent"}
    assert possibly_repeated() == before


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("silent_on", ("took too long", True)),
        ("babble_on", ("SMTPResponseException", True)),
        ("slow_on", ("SMTPReadTimeoutError (TimeoutError)", False)),
    ],
)
async def test_no_answer_and_one_that_is_none_are_left_alone_and_the_email_tried_again(
    notifier: Stage, post: Post, monkeypatch: pytest.MonkeyPatch, fault: str, ending: tuple[str, bool]
) -> None:
    """A late answer must not be taken for the answer to the next email, so the connection is not used again."""
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(mail, "TRY_SECONDS", 1.0)
    setattr(post.mailbox, fault, RITAS)
    await replies(notifier, 2)

    with pytest.raises(Later, match="connection lost"):
        await post.goes_out()

    tried, other = sorted(await notifier.rows(Email), key=lambda email: -email.attempts)
    assert (tried.attempts, tried.state, (tried.last_error, tried.unsettled)) == (1, "queued", ending)
    assert (other.attempts, other.unsettled) == (0, False)


async def test_a_server_that_thinks_about_a_text_is_given_time(
    notifier: Stage, mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters may read a letter for longer than any other answer takes; who hangs up meanwhile sends it twice."""
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.2)
    mailbox.hold = asyncio.Event()
    asyncio.get_running_loop().call_later(0.5, mailbox.hold.set)
    await replies(notifier, 1)

    await post.goes_out()

    assert (await notifier.row(Email)).state == "sent"


async def test_a_server_that_answers_a_byte_at_a_time_does_not_outlast_the_lease(
    notifier: Stage, mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer is in time and all of them together are not: the whole try has a limit, well within the lease."""
    assert timedelta(seconds=mail.TRY_SECONDS) < LEASE / 2
    monkeypatch.setattr(mail, "TRY_SECONDS", 0.2)
    mailbox.slow_on = RITAS
    await notifier.hears(an_account(), *replies_to(RITAS, "b@customer.example"))

    with pytest.raises(Later, match="connection lost"):
        await post.goes_out()

    slow = await notifier.row(Email, recipient=RITAS)
    assert (slow.state, slow.last_error, slow.unsettled) == ("queued", "took too long", False)
    await post.goes_out()
    assert [recipient for _, recipient in mailbox.envelopes] == ["b@customer.example"]


async def test_a_server_that_greets_a_byte_at_a_time_is_given_up(
    mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting has a limit, too; nothing is in hand by then."""
    monkeypatch.setattr(mail, "CONNECT_SECONDS", 0.2)
    mailbox.slow_on = EVERYBODY

    with pytest.raises(Later, match="no connection: took too long"):
        async with post.server().connection():
            pytest.fail("connected")


@pytest.mark.parametrize("fault", ["hang_up_on", "silent_on", "slow_on", "babble_on"])
async def test_one_recipient_at_whom_the_server_fails_delays_nobody_else(
    notifier: Stage, mailbox: Mailbox, post: Post, fault: str
) -> None:
    """The other lanes go on, with what was queued and with what comes while the one is still waiting."""
    bad, others = "bad@customer.example", [f"{name}@customer.example" for name in "abcdef"]
    setattr(mailbox, fault, bad)
    await notifier.hears(an_account(), *replies_to(bad, *others[:3]))

    async with post.going():
        await until(lambda: bad in mailbox.tried)
        await notifier.hears(*replies_to(*others[3:]))
        await until(lambda: {recipient for _, recipient in mailbox.envelopes} >= set(others))
        await mailbox.close()  # which ends the waiting

    assert len([recipient for _, recipient in mailbox.envelopes if recipient != bad]) == len(others)


async def test_a_database_that_fails_before_the_try_ends_the_round(notifier: Stage, post: Post) -> None:
    """Nothing was taken in hand, and whoever calls learns of it."""
    await replies(notifier, 1)

    with pytest.raises(ConnectionRefusedError):
        await post.dispatcher().send_some(Away(notifier, after=0), notifier.clock)  # type: ignore[arg-type]


async def test_lanes_outlive_a_database_that_is_away(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """One that fails ends no other, which may have an email in hand; all go on by themselves."""
    await replies(notifier, 1)
    away = Away(notifier, after=0, times=3)
    chore = asyncio.create_task(post.dispatcher().send_due_emails(away, notifier.clock))  # type: ignore[arg-type]
    try:
        await until(lambda: mailbox.letters)
    finally:
        await stopped(chore)


async def test_a_database_that_is_away_for_a_moment_after_the_try_makes_no_repeat(
    notifier: Stage, mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has the letter; that is written down as soon as the database is back."""
    monkeypatch.setattr(dispatch, "SETTLE_WAITS", (0.0,) * 5)
    await replies(notifier, 1)
    before = possibly_repeated()

    await post.dispatcher().send_some(Away(notifier, after=2, times=5), notifier.clock)  # type: ignore[arg-type]

    await leases_run(notifier, LEASE)
    await post.goes_out()
    assert len(mailbox.letters) == 1
    assert (await notifier.row(Email)).state == "sent"
    assert possibly_repeated() == before


async def test_a_database_that_stays_away_after_the_try_makes_a_repeat_that_is_counted(
    notifier: Stage, mailbox: Mailbox, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the end the lease runs out, and the email goes out again under the same Message-ID."""
    monkeypatch.setattr(dispatch, "SETTLE_WAITS", (0.0,))
    await replies(notifier, 1)
    before = possibly_repeated()
    with pytest.raises(ConnectionRefusedError):
        await post.dispatcher().send_some(Away(notifier, after=2), notifier.clock)  # type: ignore[arg-type]

    await leases_run(notifier, LEASE)
    await post.goes_out()

    assert len(mailbox.letters) == 2
    assert len({letter["Message-ID"] for letter in mailbox.letters}) == 1
    assert possibly_repeated() == before + 1


async def test_a_notifier_killed_between_the_servers_250_and_its_own_commit_repeats_one_email_and_counts_it(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """The one window in which an email goes out twice: same Message-ID, after the lease, and an operator can see it."""
    await replies(notifier, 2)
    before = possibly_repeated()

    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DIES_AFTER_THE_250),
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": notifier.service.settings.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "MAIL_FROM": "support@desk.example",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailbox.port),
        },
    )
    assert await killed.wait() == -signal.SIGKILL
    assert len(mailbox.letters) == 1
    assert sorted(email.state for email in await notifier.rows(Email)) == ["queued", "queued"]

    await leases_run(notifier, LEASE - timedelta(seconds=30))
    await post.goes_out()
    assert len(mailbox.letters) == 2
    assert possibly_repeated() == before
    await leases_run(notifier, timedelta(seconds=30))
    await post.goes_out()

    ids = [letter["Message-ID"] for letter in mailbox.letters]
    assert (len(ids), len(set(ids)), ids.count(ids[0])) == (3, 2, 2)
    assert possibly_repeated() == before + 1
    assert {email.state for email in await notifier.rows(Email)} == {"sent"}


DIES_AFTER_THE_250 = """
import asyncio, os, signal
from services.notifier import mail
from services.notifier.app import create_service
from services.notifier.dispatch import Dispatcher
from services.notifier.settings import Settings
from tests.builders import NOON

send = mail.Connection.send

async def send_and_die(self, message):
    await send(self, message)
    os.kill(os.getpid(), signal.SIGKILL)

mail.Connection.send = send_and_die
settings = Settings.from_environment()
dispatcher = Dispatcher(mail.MailServer(settings), settings.mail_from, 1000)
asyncio.run(dispatcher.send_due_emails(create_service(settings).sessions, lambda: NOON))
"""
"""The service's own dispatcher, whose process ends as by a power cut when the server has said 250."""


class Away:
    """The stage's database, which does not answer after so many transactions, for so many `times`."""

    def __init__(self, notifier: Stage, *, after: int, times: int = 1_000) -> None:
        self._notifier = notifier
        self._answers = [True] * after + [False] * times

    @asynccontextmanager
    async def begin(self) -> Any:
        """Begin a transaction, or fail as a database does that is not there."""
        if self._answers and not self._answers.pop(0):
            raise ConnectionRefusedError
        session: AsyncSession
        async with self._notifier.service.sessions.begin() as session:
            yield session

    def __call__(self, **choices: Any) -> AsyncSession:
        """Open a session for a transaction, or fail in the same way."""
        if self._answers and not self._answers.pop(0):
            raise ConnectionRefusedError
        return self._notifier.service.sessions(**choices)
