"""From an agent's reply to a figure in the report, through all four services, real Kafka, PostgreSQL and SMTP."""

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
