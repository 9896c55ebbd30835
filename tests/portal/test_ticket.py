"""When a reply reopens a ticket, and what its requester's word that it is solved does. No database needed."""

import pytest

from services.portal.ticket import Ticket
from shared.contracts import ReplyReceived, TicketReopened
from tests.builders import NOON, a_ticket


def known(**facts: object) -> Ticket:
    """A ticket as the help desk told it."""
    told = a_ticket(**facts)
    return Ticket(
        account_id="acme",
        ticket_id=told.ticket_id,
        version=told.version,
        snapshot=told,
        reopened_version=0,
        solved_version=0,
        revision=0,
    )


@pytest.mark.parametrize("status", ["pending", "resolved"])
def test_a_reply_to_a_ticket_that_waits_or_is_done_opens_it(status: str) -> None:
    """Both events tell of an open ticket at the version that was known; the thread says what it was."""
    ticket = known(version=4, status=status)

    (reply, reopening), (received, reopened) = ticket.take_reply("Once more", NOON)

    assert ticket.status == "open"
    assert isinstance(received, ReplyReceived)
    assert isinstance(reopened, TicketReopened)
    assert received.reopened
    assert (reopened.previous_status, reopened.body) == (status, "Once more")
    assert received.ticket == reopened.ticket == a_ticket(version=4, status="open")
    assert received.reply_id == reopened.reply_id == reply.message_id
    assert (reopening.happening, reopening.previous_status) == ("reopened", status)


def test_a_reply_to_an_open_ticket_reopens_nothing() -> None:
    """There is one thing to tell and nothing to note."""
    messages, (received,) = known().take_reply("Hello", NOON)

    assert [message.kind for message in messages] == ["requester"]
    assert isinstance(received, ReplyReceived)
    assert not received.reopened


def test_a_second_reply_after_the_reopening_reopens_nothing() -> None:
    """The ticket is open by then, though the help desk has not said so."""
    ticket = known(version=4, status="resolved")
    ticket.take_reply("First", NOON)

    messages, events = ticket.take_reply("Second", NOON)

    assert (len(messages), len(events)) == (1, 1)


def test_the_help_desk_has_the_last_word_and_late_news_has_none() -> None:
    """What was known at the reopening, or older, does not undo it; a later version does."""
    ticket = known(version=4, status="resolved")
    ticket.take_reply("Once more", NOON)

    for version, status, shown in ((3, "pending", "open"), (4, "resolved", "open"), (5, "resolved", "resolved")):
        ticket.learn(a_ticket(version=version, status=status))
        assert ticket.status == shown


def test_a_reply_reopens_again_what_was_resolved_again() -> None:
    """One reopening for each resolution."""
    ticket = known(version=4, status="resolved")
    ticket.take_reply("Once more", NOON)
    ticket.learn(a_ticket(version=6, status="resolved"))

    _, events = ticket.take_reply("And again", NOON)

    assert ticket.status == "open"
    assert [type(event) for event in events] == [ReplyReceived, TicketReopened]


def test_closed_stays_closed() -> None:
    """A closed ticket takes no replies, whatever was reopened before; what comes from elsewhere opens nothing."""
    ticket = known(version=4, status="resolved")
    ticket.take_reply("Once more", NOON)
    ticket.learn(a_ticket(version=5, status="closed"))

    assert not ticket.takes_replies
    _, events = ticket.take_reply("Still there?", NOON, reply_id="elsewhere")
    assert [type(event) for event in events] == [ReplyReceived]
    assert ticket.status == "closed"


@pytest.mark.parametrize("status", ["open", "pending"])
def test_a_requester_who_needs_no_more_help_solves_the_ticket(status: str) -> None:
    """It is resolved at the version that was known, the thread says so, and there is one thing to tell."""
    ticket = known(version=4, status=status)

    message, solved = ticket.mark_solved(NOON)

    assert (ticket.status, ticket.can_be_solved, ticket.takes_replies) == ("resolved", False, True)
    assert (message.happening, message.previous_status, message.author_name) == ("solved", None, "Rita Gómez")
    assert message.message_id == f"solved/{solved.solved_id}"
    assert (solved.previous_status, solved.solved_at) == (status, NOON)
    assert solved.ticket == a_ticket(version=4, status="resolved")


@pytest.mark.parametrize("status", ["resolved", "closed"])
def test_what_is_done_cannot_be_solved(status: str) -> None:
    """There is nothing to say."""
    ticket = known(version=4, status=status)

    assert not ticket.can_be_solved
    with pytest.raises(AssertionError):
        ticket.mark_solved(NOON)


def test_the_help_desk_has_the_last_word_on_what_is_solved() -> None:
    """What was known then, or older, does not undo it; a later version does."""
    ticket = known(version=4)
    ticket.mark_solved(NOON)

    for version, status, shown in ((3, "pending", "resolved"), (4, "open", "resolved"), (5, "open", "open")):
        ticket.learn(a_ticket(version=version, status=status))
        assert ticket.status == shown


def test_solving_and_replying_take_turns_at_one_version() -> None:
    """The help desk may be slow: whatever the requester did last holds meanwhile."""
    ticket = known(version=4)

    ticket.mark_solved(NOON)
    _, (_, reopened) = ticket.take_reply("Not quite", NOON)
    assert isinstance(reopened, TicketReopened)
    assert (ticket.status, reopened.previous_status) == ("open", "resolved")
    ticket.mark_solved(NOON)
    assert ticket.status == "resolved"
    ticket.take_reply("No, really", NOON)
    assert ticket.status == "open"
    ticket.learn(a_ticket(version=5, status="closed"))
    assert ticket.status == "closed"


def test_a_revision_grows_with_all_that_can_be_seen() -> None:
    """News, replies and solutions; not with what was known already."""
    ticket = known(version=4)
    seen = [ticket.revision]

    ticket.learn(a_ticket(version=4))
    assert ticket.revision == seen[-1]
    for change in (
        lambda: ticket.learn(a_ticket(version=5)),
        lambda: ticket.take_reply("Hello", NOON),
        lambda: ticket.mark_solved(NOON),
    ):
        change()
        seen.append(ticket.revision)

    assert seen == sorted(set(seen))
