"""Email bombs (S24): so many events that one address is flooded through us. What is too much waits, and is not lost."""

import asyncio
import re
from datetime import timedelta

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql

from services.notifier import queries
from services.notifier.backlog import flooded_addresses
from services.notifier.dispatch import FLOODED
from services.notifier.emails import GIVE_UP_AFTER, Email
from shared.contracts import NotificationFailed, Requester
from tests.builders import NOON, RITA, a_ticket, a_ticket_reopened, an_account
from tests.notifier.builders import a_reply_published
from tests.notifier.conftest import RITAS, Post, replies, replies_to
from tests.notifier.mailbox import Mailbox
from tests.stage import Stage

HOUR = timedelta(hours=1)


async def due_slots(notifier: Stage) -> list[int]:
    """In how many minutes each queued email is due."""
    queued = await notifier.rows(Email, state="queued")
    return sorted(int((email.due_at - notifier.clock()).total_seconds() // 60) for email in queued)


async def test_an_address_gets_so_many_emails_an_hour_and_the_others_later(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """All arrive, in the order of their events, and in no hour more than the limit."""
    post.per_hour = 3
    counted = FLOODED.labels("reply_published")._value.get()
    await replies(notifier, 8)
    arrived = []

    for _ in range(4):
        before = len(mailbox.letters)
        while await post.goes_out():
            pass
        arrived.append(len(mailbox.letters) - before)
        notifier.later(hours=1)

    assert arrived == [3, 3, 2, 0]
    assert FLOODED.labels("reply_published")._value.get() - counted == 5
    assert [email.state for email in await notifier.rows(Email)] == ["sent"] * 8


async def test_the_hour_moves_on_with_the_clock(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """It is any hour, not that of the clock: three at its end and three at the next one's beginning are six."""
    post.per_hour = 2
    await replies(notifier, 1)
    await post.goes_out()
    notifier.later(minutes=40)
    await notifier.hears(*(a_reply_published(reply_id=f"b-{n}") for n in range(3)))
    await post.goes_out()

    assert len(mailbox.letters) == 2
    assert await due_slots(notifier) == [20, 60]


async def test_all_accounts_and_kinds_and_spellings_count_together(
    notifier: Stage, mailbox: Mailbox, post: Post
) -> None:
    """A flood through many tenants, to agents and requesters alike, in other letters, is one."""
    post.per_hour = 2
    shouted = Requester(requester_id="r", name="R", email=(RITA.email or "").upper())
    await notifier.hears(
        an_account(),
        an_account(account_id="evil"),
        a_reply_published(),
        a_reply_published(account_id="evil", ticket=a_ticket(version=2, requester=shouted)),
        a_ticket_reopened(ticket=a_ticket(assignee=None, watchers=(), version=3)),
        a_reply_published(reply_id="a-2"),
    )

    await post.goes_out()

    assert len(mailbox.letters) == 2
    assert len(await due_slots(notifier)) == 1


async def test_a_flood_holds_up_nobody_else(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Others' emails that were queued behind it go out at once."""
    post.per_hour = 2
    await replies(notifier, 20)
    await notifier.hears(*replies_to("other@customer.example"))

    await post.goes_out()

    assert [to for _, to in mailbox.envelopes].count("other@customer.example") == 1
    assert len(mailbox.letters) == 3


async def test_replicas_share_the_limit(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Races: however many send at once, the database decides for one address after the other."""
    post.per_hour = 5
    await replies(notifier, 30)

    await asyncio.gather(*(post.goes_out() for _ in range(6)))

    assert len(mailbox.letters) == 5
    assert len(await due_slots(notifier)) == 25


async def test_what_cannot_be_sent_in_time_fails_and_is_said(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """Nothing waits for ever: after three days an email fails as any other does."""
    post.per_hour = 1
    hours = int(GIVE_UP_AFTER / HOUR)
    await replies(notifier, hours + 10)
    await notifier.said()
    for _ in range(hours + 1):
        while await post.goes_out():
            pass
        notifier.later(hours=1)

    failed = await notifier.rows(Email, state="failed")

    assert len(mailbox.letters) + len(failed) == hours + 10
    assert len(mailbox.letters) >= hours
    assert {(email.failed_reason, email.facts.link) for email in failed} == {("gave_up", None)}
    assert "within an hour" in (failed[0].last_error or "")
    assert {type(event) for event in await notifier.said()} == {NotificationFailed}


async def test_an_email_that_is_tried_again_takes_one_slot(notifier: Stage, mailbox: Mailbox, post: Post) -> None:
    """A server that puts us off does not use up what its people may get."""
    post.per_hour = 2
    await replies(notifier, 2)
    mailbox.refuse[RITAS] = "451 later"
    for _ in range(3):
        await post.goes_out()
        notifier.later(minutes=10)
    mailbox.refuse.clear()

    await post.goes_out()

    assert len(mailbox.letters) == 2


async def test_operators_see_a_flood(notifier: Stage, post: Post) -> None:
    """It is told as a trouble, without the address."""
    post.per_hour = 2
    await replies(notifier, 5)
    async with notifier.service.sessions() as session:
        assert await flooded_addresses(session, NOON) is None
    await post.goes_out()

    health = (await notifier.client.get("/health/ready")).json()

    assert health["status"] == "degraded"
    assert (
        "3 emails wait for their turn; addresses to which there are more than EMAILS_PER_HOUR: 1" in health["troubles"]
    )


async def test_an_addresss_slots_are_found_by_their_index(notifier: Stage) -> None:
    """As the service is deployed: behind row-level security no index on a function is used, which would read it all."""
    await replies(notifier, 1)
    async with notifier.service.sessions() as session:
        email = (await session.scalars(select(Email))).one()
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        asked = str(
            queries.slots_taken(email, 3, NOON).compile(
                dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
            )
        )
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {asked}")))

    assert plan.count("ix_emails_slots") == 2
    assert len(re.findall(r"Index Cond: \(+address = ", plan)) == 2
