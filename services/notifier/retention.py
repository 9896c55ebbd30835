"""How long the notifier keeps what: emails, addresses that do not exist, links among the dead letters."""

from collections.abc import Sequence

from services.notifier.emails import Email
from services.notifier.settings import Settings
from services.notifier.tables import Suppression
from shared.chassis.dead_letters import DeadLetter
from shared.chassis.retention import Period, dead_letters, deleting
from shared.contracts import LinkRenewed, ReplyPublished, SurveyInvited

LINK_DAYS = 7
"""As long as Kafka keeps these topics; see deploy/topics.yaml."""

_WITH_LINKS = (ReplyPublished.topic, LinkRenewed.topic, SurveyInvited.topic)


def periods(settings: Settings) -> Sequence[Period]:
    """Say how long each is kept."""
    return (
        Period(
            what="emails, sent or failed",
            days=settings.email_days,
            setting="EMAIL_DAYS",
            drop=deleting(Email, Email.created_at, Email.state != "queued"),
        ),
        Period(
            what="addresses that do not exist",
            days=settings.suppression_days,
            setting="SUPPRESSION_DAYS",
            drop=deleting(Suppression, Suppression.suppressed_at),
        ),
        Period(
            what="dead letters that carry a link",
            days=LINK_DAYS,
            setting=None,
            drop=deleting(DeadLetter, DeadLetter.died_at, DeadLetter.topic.in_(_WITH_LINKS)),
        ),
        dead_letters(settings),
    )
