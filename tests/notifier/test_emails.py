"""The rules of an email's life."""

from datetime import timedelta

import pytest

from services.notifier import dispatch, mail
from services.notifier.emails import LEASE, gives_up_at
from tests.builders import NOON
from tests.notifier.builders import an_email


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 10), (2, 20), (5, 160), (9, 2560), (10, 3600), (500, 3600)])
def test_waits_double_from_10_seconds_to_an_hour(attempts: int, seconds: int) -> None:
    """A server that is busy is asked less and less often, and never forgotten."""
    email = an_email()
    email.attempts = attempts

    email.put_off("busy", NOON)

    assert 0.8 * seconds <= (email.due_at - NOON).total_seconds() <= 1.2 * seconds
    assert (email.state, email.last_error) == ("queued", "busy")


def test_waits_differ() -> None:
    """Emails that failed together do not come back together."""
    emails = [an_email() for _ in range(20)]
    for email in emails:
        email.put_off("busy", NOON)

    assert len({email.due_at for email in emails}) > 10


def test_a_lease_outlives_the_slowest_try_and_its_settling() -> None:
    """Whoever has an email in hand settles it before anybody else takes it, however slow the mail server is."""
    assert timedelta(seconds=mail.TRY_SECONDS + 2 * sum(dispatch.SETTLE_WAITS)) < LEASE


def test_an_email_is_given_up_after_72_hours_or_when_it_is_of_no_use() -> None:
    """Nobody is asked to answer what can no longer be answered."""
    assert gives_up_at(NOON, None) == NOON + timedelta(hours=72)
    assert gives_up_at(NOON, NOON + timedelta(days=14)) == NOON + timedelta(hours=72)
    assert gives_up_at(NOON, NOON + timedelta(days=1)) == NOON + timedelta(days=1)


def test_a_settled_email_keeps_no_link() -> None:
    """A link is in the database only as long as it is needed to send it."""
    sent, failed = an_email(), an_email()

    sent.mark_sent(NOON)
    failed.fail("bounced", "refused", NOON)

    assert sent.facts.link is None
    assert failed.facts.link is None
    assert sent.facts.text == "A new pole is on its way."


def test_a_try_repeats_an_earlier_one_only_if_that_was_never_settled() -> None:
    """What was settled, either way, is known not to be with the mail server, or not to be sent again."""
    email = an_email()

    assert not email.lease()
    assert email.lease()
    email.put_off("busy", NOON)
    assert not email.lease()
    email.put_off("connection lost", NOON, unsettled=True)
    assert email.lease()


def test_a_settled_email_is_not_unsettled() -> None:
    """The column says what its name does."""
    sent, failed = an_email(), an_email()
    for email in (sent, failed):
        email.lease()

    sent.mark_sent(NOON)
    failed.fail("bounced", "refused", NOON)

    assert (sent.unsettled, failed.unsettled) == (False, False)
