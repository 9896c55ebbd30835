"""From an agent's reply to a figure in the report, through all four services, real Kafka, PostgreSQL and SMTP."""

import pytest

from tests.journeys.case import Case, rate, reply
from tests.product import SERVICES, HelpDesk, Product, link_in, until


async def test_a_resolved_ticket_becomes_a_score(product: Product, help_desk: HelpDesk) -> None:
    """The loop: reply, email, answer, reopening, resolution, survey, rating, report."""
    case = Case()
    await help_desk.publishes(case.account(), case.created(), case.answered(2, "pending"))

    link = link_in(await product.email(case.requester.email, "A new pole is on its way."), "t")
    page = (await product.http.get(link)).text
    assert "Tent pole broke" in page
    assert "A new pole is on its way." in page

    await reply(product, link, "It broke again!")
    (received,) = await help_desk.hears("reply.received", case.account_id)
    (reopened,) = await help_desk.hears("ticket.reopened", case.account_id)
    assert received["reopened"] is True
    assert reopened["ticket"]["status"] == "open"
    assert reopened["previous_status"] == "pending"
    await product.email(case.assignee.email, "It broke again!")
    await product.email(case.watcher.email, "It broke again!")

    await help_desk.publishes(case.resolved(4))
    survey = link_in(await product.email(case.requester.email, "/s/"), "s")
    await rate(product, survey, 4, "Fine in the end")
    assert "Fine in the end" in (await product.http.get(survey)).text

    key = await product.reports_key(case.account_id)

    async def reported() -> bool:
        return (await product.summary(key))["satisfaction"]["responses"] == 1

    await until(reported)
    assert (await product.summary(key))["satisfaction"]["average"] == 4.0
    assert len(product.emails_to(case.assignee.email)) == len(product.emails_to(case.watcher.email)) == 1

    for token in (link.rpartition("/")[2], survey.rpartition("/")[2]):
        assert not [name for name in SERVICES if token in product.log(name)]
    assert not [name for name in SERVICES if "It broke again!" in product.log(name)]


@pytest.mark.parametrize("victim", SERVICES)
async def test_a_service_killed_in_the_middle_of_the_loop_takes_it_up_again(
    product: Product, help_desk: HelpDesk, victim: str
) -> None:
    """Power fails at each service in turn: everything happens once, nothing is missing."""
    case = Case()
    await help_desk.publishes(case.account(), case.created())
    product.kill(victim)
    await help_desk.publishes(case.answered(2))
    product.launch(victim)
    await product.is_ready(victim)
    link = link_in(await product.email(case.requester.email, "A new pole is on its way."), "t")

    await reply(product, link, "Thanks, and one more question")
    product.kill(victim)
    product.launch(victim)
    await product.is_ready(victim)
    await product.email(case.assignee.email, "one more question")
    await help_desk.publishes(case.resolved(4))
    survey = link_in(await product.email(case.requester.email, "/s/"), "s")

    await rate(product, survey, 5, "")
    product.kill(victim)
    product.launch(victim)
    await product.is_ready(victim)
    key = await product.reports_key(case.account_id)

    async def reported() -> bool:
        return (await product.summary(key))["satisfaction"]["responses"] == 1

    await until(reported)
    for topic, name in (("survey.created", "survey"), ("survey.submitted", "survey"), ("reply.received", "reply_id")):
        said = await help_desk.hears(topic, case.account_id, quiet_seconds=0.5)
        assert len({str(event[name]) for event in said}) == 1, topic
    # At most one repeat of an email, if the kill fell between the server's 250 and the notifier's commit; then with
    # the same Message-ID.
    ids = [email["Message-ID"] for email in product.emails_to(case.requester.email)]
    assert len(set(ids)) == 2
