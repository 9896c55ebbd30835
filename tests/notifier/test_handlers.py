"""Who is written to, and once, as events arrive."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.notifier.emails import Email
from services.notifier.handlers import MAX_TEXT_LENGTH
from services.notifier.tables import Account
from shared.contracts import Agent, Requester
from tests.builders import (
    ADA,
    BEN,
    EVE,
    NOON,
    RITA,
    a_reply_received,
    a_ticket,
    a_ticket_reopened,
    a_ticket_solved,
    an_account,
)
from tests.notifier.builders import (
    OPT_OUT_LINK,
    SURVEY_LINK,
    TICKET_LINK,
    a_link_renewed,
    a_reply_published,
    a_survey_invited,
    a_survey_reminded,
    a_survey_submitted,
)
from tests.stage import Stage, delivery_of


async def recipients(notifier: Stage) -> list[str]:
    """Who has an email in the queue."""
    return sorted(email.recipient for email in await notifier.rows(Email))


async def test_a_published_reply_is_for_the_requester(notifier: Stage) -> None:
    """The requester learns what the agent wrote, and gets the link."""
    await notifier.hears(an_account(), a_reply_published())

    email = await notifier.row(Email)
    assert (email.kind, email.subject_id, email.state, email.attempts) == ("reply_published", "a-1", "queued", 0)
    assert (email.recipient, email.recipient_name) == (RITA.email, RITA.name)
    assert (email.facts.author, email.facts.text) == ("Ada Okafor", "A new pole is on its way.")
    assert email.facts.link == TICKET_LINK
    assert email.created_at == email.due_at == NOON


async def test_an_invitation_is_for_the_requester(notifier: Stage) -> None:
    """The requester of a resolved ticket is asked, with the survey's link."""
    await notifier.hears(an_account(), a_survey_invited())

    email = await notifier.row(Email)
    assert (email.kind, email.subject_id, email.recipient) == ("survey_invited", "s-1", RITA.email)
    assert email.facts.link == SURVEY_LINK
    assert email.facts.expires_at == NOON + timedelta(days=14)


async def test_a_received_reply_is_for_the_assignee(notifier: Stage) -> None:
    """Who works on the ticket learns that the requester wrote; watchers do not."""
    await notifier.hears(an_account(), a_reply_received())

    email = await notifier.row(Email)
    assert (email.kind, email.recipient) == ("reply_received", ADA.email)
    assert (email.facts.author, email.facts.text, email.facts.link) == (RITA.name, "Thank you!", None)


async def test_a_received_reply_of_an_unassigned_ticket_is_for_nobody(notifier: Stage) -> None:
    """Nobody is told of a ticket that is nobody's."""
    await notifier.hears(an_account(), a_reply_received(ticket=a_ticket(assignee=None)))

    assert await notifier.count(Email) == 0
    assert await notifier.dead_letters() == []


async def test_a_reply_that_reopened_its_ticket_is_told_of_as_the_reopening_only(notifier: Stage) -> None:
    """One thing that the requester did is one email to each agent."""
    await notifier.hears(an_account(), a_reply_received(reply_id="r-9", reopened=True), a_ticket_reopened())

    assert {email.kind for email in await notifier.rows(Email)} == {"ticket_reopened"}


async def test_a_reopening_is_for_assignee_and_watchers(notifier: Stage) -> None:
    """Everybody who cares learns who reopened the ticket, from which status, and why."""
    await notifier.hears(an_account(), a_ticket_reopened(ticket=a_ticket(version=3, watchers=(BEN, EVE))))

    assert await recipients(notifier) == [ADA.email, BEN.email, EVE.email]
    facts = (await notifier.rows(Email))[0].facts
    assert (facts.author, facts.previous_status, facts.text) == (RITA.name, "resolved", "It broke again.")


async def test_a_fresh_link_is_for_the_requester_whoever_asked_for_it(notifier: Stage) -> None:
    """It is written to the address that the ticket has, once for each link."""
    await notifier.hears(an_account(), a_link_renewed(), a_link_renewed(), a_link_renewed(renewal_id="l-2"))

    emails = await notifier.rows(Email)
    assert sorted(email.subject_id for email in emails) == ["l-1", "l-2"]
    assert {(email.kind, email.recipient, email.facts.link) for email in emails} == {
        ("link_renewed", RITA.email, TICKET_LINK)
    }


async def test_a_solution_is_for_the_assignee(notifier: Stage) -> None:
    """Who works on the ticket learns that they can stop; watchers do not."""
    await notifier.hears(an_account(), a_ticket_solved(), a_ticket_solved())

    email = await notifier.row(Email)
    assert (email.kind, email.subject_id, email.recipient) == ("ticket_solved", "s-9", ADA.email)
    assert (email.facts.author, email.facts.previous_status, email.facts.link) == (RITA.name, "open", None)


async def test_an_assignee_who_watches_gets_one_email(notifier: Stage) -> None:
    """One address, one email, however it is written and whatever it is there for."""
    shouting = Agent(agent_id="ada-2", name="Ada", email="ADA@desk.example")
    await notifier.hears(an_account(), a_ticket_reopened(ticket=a_ticket(watchers=(ADA, shouting, BEN))))

    assert await recipients(notifier) == [ADA.email, BEN.email]
    assert await notifier.dead_letters() == []


async def test_a_reopening_of_an_unassigned_ticket_is_for_its_watchers(notifier: Stage) -> None:
    """Watchers care also when nobody is assigned."""
    await notifier.hears(an_account(), a_ticket_reopened(ticket=a_ticket(assignee=None)))

    assert await recipients(notifier) == [BEN.email]


async def test_people_without_an_address_are_left_out(notifier: Stage) -> None:
    """Some channels know no address; the event has no effect then, and is no fault."""
    for address in (None, "", "  "):
        nobody = Requester(requester_id="rita", name="Rita", email=address)
        await notifier.hears(an_account(), a_reply_published(ticket=a_ticket(requester=nobody)))
        await notifier.hears(a_survey_invited(ticket=a_ticket(requester=nobody)))
    await notifier.hears(a_ticket_reopened(ticket=a_ticket(assignee=replace(ADA, email=""), watchers=(BEN,))))

    assert await recipients(notifier) == [BEN.email]
    assert await notifier.dead_letters() == []


async def test_a_redelivered_event_queues_no_second_email(notifier: Stage) -> None:
    """Kafka may deliver twice; people are told once."""
    heard = [delivery_of(event) for event in (a_reply_published(), a_survey_invited(), a_ticket_reopened())]
    await notifier.hears(an_account(), *heard)
    await notifier.hears(*heard)

    assert await notifier.count(Email) == 4
    assert await notifier.dead_letters() == []


async def test_an_event_published_twice_under_two_ids_queues_no_second_email(notifier: Stage) -> None:
    """A publisher that repeats itself with a fresh id is still understood as one event."""
    shouted = a_ticket(version=4, requester=replace(RITA, email="Rita@Customer.example"))
    await notifier.hears(an_account(), a_reply_published(), a_reply_published(ticket=shouted))
    await notifier.hears(a_ticket_reopened(), a_ticket_reopened())

    assert await notifier.count(Email) == 3
    assert await notifier.dead_letters() == []


async def test_accounts_may_use_the_same_ids(notifier: Stage) -> None:
    """Ids are an account's own: another account's reply of the same id is another email."""
    await notifier.hears(an_account(), an_account(account_id="bolt"))
    await notifier.hears(a_reply_published(), a_reply_published(account_id="bolt"))

    assert await notifier.count(Email) == 2


async def test_two_replies_are_two_emails(notifier: Stage) -> None:
    """Each reply is told of, and both belong to one conversation."""
    await notifier.hears(an_account(), a_reply_published(), a_reply_published(reply_id="a-2"))

    assert [email.thread for email in await notifier.rows(Email)] == ["acme/T-1", "acme/T-1"]


async def test_events_of_an_unknown_account_wait_until_it_is_told_of(notifier: Stage) -> None:
    """Topics give no order between each other, so an account may come after its first ticket."""
    await notifier.hears(a_reply_published(), a_survey_invited(), a_reply_received(), a_ticket_reopened())
    assert await notifier.dead_letters() == ["waits for acme"] * 4
    assert await notifier.count(Email) == 0

    await notifier.hears(an_account())

    assert await notifier.dead_letters() == []
    assert await notifier.count(Email) == 5


async def test_the_newest_brand_is_kept(notifier: Stage) -> None:
    """The highest version wins, whatever the order of arrival."""
    await notifier.hears(an_account(version=2, name="Acme"), an_account(version=1, name="Old Acme"))

    assert (await notifier.row(Account)).name == "Acme"


async def test_what_people_write_can_always_be_stored(notifier: Stage) -> None:
    """No reply is too long or too strange to be told of; what is very long is cut."""
    hostile = a_ticket(subject="a\0b", requester=replace(RITA, name="R\0ita"))
    await notifier.hears(an_account(), a_reply_published(ticket=hostile, body="\0" + "x" * 50_000))

    facts = (await notifier.row(Email)).facts
    assert facts.subject == "ab"
    assert len(facts.text) <= MAX_TEXT_LENGTH + 1
    assert facts.text.endswith("x…")
    assert await notifier.dead_letters() == []


async def test_queueing_an_email_says_nothing(notifier: Stage) -> None:
    """Links and letters stay here."""
    await notifier.hears(an_account(), a_reply_published(), a_survey_invited(), a_ticket_reopened())

    assert await notifier.said() == []


async def test_a_reminder_is_another_email_with_the_same_links(notifier: Stage) -> None:
    """The requester is asked once more; a repeat of the news adds nothing."""
    await notifier.hears(an_account(), a_survey_invited(), a_survey_reminded(), a_survey_reminded())

    invited, reminded = sorted(await notifier.rows(Email), key=lambda email: email.kind)
    assert (invited.kind, reminded.kind) == ("survey_invited", "survey_reminded")
    for email in (invited, reminded):
        assert (email.recipient, email.facts.link, email.facts.opt_out_link) == (RITA.email, SURVEY_LINK, OPT_OUT_LINK)


async def test_a_low_rating_is_told_to_its_agent_and_to_who_leads_the_account(notifier: Stage) -> None:
    """With what the requester picked and wrote; one email to each, and one to somebody who is both."""
    await notifier.hears(an_account(lead=BEN), a_survey_submitted(1))

    assert await recipients(notifier) == [ADA.email, BEN.email]
    facts = (await notifier.rows(Email))[0].facts
    assert (facts.score, facts.text, facts.reason) == (1, "Still broken.", "My problem is not solved")
    assert (facts.author, facts.link) == ("Rita Gómez", None)

    await notifier.clear()
    await notifier.hears(an_account(lead=ADA), a_survey_submitted())
    assert await recipients(notifier) == [ADA.email]


@pytest.mark.parametrize("score", [3, 4, 5])
async def test_other_ratings_are_told_to_nobody(notifier: Stage, score: int) -> None:
    """An alarm that always rings is none."""
    await notifier.hears(an_account(lead=BEN), a_survey_submitted(score, reason=None))

    assert await notifier.count(Email) == 0


async def test_a_low_rating_of_long_ago_is_no_news(notifier: Stage) -> None:
    """A new installation hears of years of them."""
    await notifier.hears(an_account(lead=BEN))
    notifier.later(days=7)
    await notifier.hears(a_survey_submitted(1))

    assert await notifier.count(Email) == 0


async def test_a_low_rating_of_nobodys_ticket_is_told_to_the_lead_alone(notifier: Stage) -> None:
    """And to nobody where there is none."""
    nobodys = replace(a_survey_submitted().survey, agent=None)
    await notifier.hears(an_account(), an_account(account_id="led", lead=BEN))
    await notifier.hears(a_survey_submitted(survey=nobodys), a_survey_submitted(survey=nobodys, account_id="led"))

    assert await recipients(notifier) == [BEN.email]
