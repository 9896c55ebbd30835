"""An invitation that does not arrive, from the mail server's refusal to what surveys makes of it."""

from tests.journeys.case import Case, rate
from tests.product import HelpDesk, Product


async def test_a_refused_invitation_expires_its_survey_and_who_has_the_link_may_still_answer(
    product: Product, help_desk: HelpDesk
) -> None:
    """Mail server, notifier, Kafka and surveys: nobody was asked, until somebody answers all the same."""
    case = Case()
    product.mailbox.refuse[case.requester.email] = "550 5.1.1 no such user"
    await help_desk.publishes(case.account(), case.created(), case.resolved(2))

    (invited,) = await help_desk.hears("survey.invited", case.account_id)
    (failed,) = await help_desk.hears("notification.failed", case.account_id)
    (expired,) = await help_desk.hears("survey.expired", case.account_id)
    assert (failed["kind"], failed["subject_id"]) == ("survey_invited", invited["survey_id"])
    assert (failed["reason"], failed["code"]) == ("bounced", "550 5.1.1")
    assert (expired["reason"], expired["survey"]["survey_id"]) == ("undeliverable", invited["survey_id"])

    await rate(product, invited["link"], 4, "A colleague passed it on")
    (submitted,) = await help_desk.hears("survey.submitted", case.account_id)
    assert submitted["score"] == 4

    await help_desk.publishes(case.answered(3))
    failures = await help_desk.hears("notification.failed", case.account_id, 2)
    assert {(event["kind"], event["reason"]) for event in failures} == {
        ("survey_invited", "bounced"),
        ("reply_published", "suppressed"),
    }
    assert case.requester.email not in product.log("notifier")
