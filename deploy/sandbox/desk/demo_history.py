"""Half a year of surveys, as a company moving to closeloop would import them: the survey events of its past."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from shared.contracts import (
    Agent,
    Event,
    ReasonGiven,
    Requester,
    Survey,
    SurveyCreated,
    SurveyExpired,
    SurveySkipped,
    SurveySubmitted,
    Ticket,
)
from shared.contracts.ticket import Priority

DAYS = 182

# How each agent's ratings fall on 1 to 5 stars, and how much of the account's work is theirs.
RATED = {
    "ada": ((1, 1, 3, 18, 40), 10),
    "ben": ((2, 3, 6, 24, 20), 8),
    "chiara": ((5, 6, 9, 14, 12), 6),
    "dag": ((0, 0, 1, 1, 2), 0.6),
    "eka": ((1, 2, 4, 20, 36), 8),
    "farid": ((4, 5, 8, 16, 14), 6),
    "gita": ((1, 1, 5, 12, 30), 7),
}
PRIORITIES: dict[Priority, int] = {"low": 3, "normal": 10, "high": 4, "urgent": 1}
CHANNELS = {"email": 6, "chat": 4, "phone": 2, "web_form": 2}

HARDER = {"urgent": 2.4, "high": 1.3, "phone": 1.4, "chat": 0.6}
"""How many times as many low scores there are."""

PRAISE = (
    "Quick and friendly, thank you!",
    "Solved on the first try.",
    "Very patient with me.",
    "مشكلتي حُلّت بسرعة، شكرًا جزيلًا",
    "Great, but the form was hard to find.",
    "とても助かりました。ありがとうございます。",
    "Exactly what I needed.",
    "The new tent came two days later, with a note. That is how it should be.",
    "Sehr freundlich und schnell, danke!",
    "Best support I have had this year.",
)
COMPLAINTS = (
    "I had to explain the same thing three times.",
    "It took a week to get an answer.",
    "Still broken, honestly.",
    "The answer did not fit my question at all. I had written in detail which of the two orders was meant, sent a photo"
    " of the label, and was then asked for both again by somebody else the next day.",
    "لم يرد أحد لمدة ثلاثة أيام",
    "Nobody called back, although I was told so twice.",
)
SUBJECTS = ("Delivery is late", "Wrong size", "Refund", "Cannot sign in", "Invoice", "Broken on arrival", "Warranty")
PEOPLE = (
    "Rita Gómez",
    "Jonas Weber",
    "田中 愛子",
    "ليلى حدّاد",
    "Tom Brown",
    "Mei Chen",
    "Olu Adeyemi",
    "Marie-Claire Dubois",
    "Søren Kjær",
)


@dataclass(kw_only=True)
class History:
    """The past of an account: who worked there, and what its requesters could pick with a low score."""

    account_id: str
    agents: Sequence[Agent]
    reasons: Sequence[ReasonGiven]
    now: datetime

    def __post_init__(self) -> None:
        self._dice = random.Random(self.account_id)  # noqa: S311 - a demonstration is the same each time

    def events(self) -> Iterator[Event]:
        """Tell what became of every survey. It goes better from month to month."""
        numbers = count(1)
        for day in range(DAYS, -1, -1):
            date = self.now - timedelta(days=day)
            for _ in range(self._dice.randint(0, 2) if date.weekday() >= 5 else self._dice.randint(3, 8)):
                asked_at = date.replace(
                    hour=self._dice.randint(7, 17), minute=self._dice.randint(0, 59), second=0, microsecond=0
                )
                survey = self._survey(next(numbers), asked_at)
                if asked_at > self.now:
                    continue
                if self._dice.random() < 0.06:
                    yield self._skipped(survey)
                else:
                    yield SurveyCreated(account_id=self.account_id, survey=survey)
                    yield from self._outcome(survey, harder=0.4 + 1.6 * day / DAYS)

    def _survey(self, number: int, asked_at: datetime) -> Survey:
        (agent,) = self._dice.choices(self.agents, [RATED[agent.agent_id][1] for agent in self.agents])
        # Every fifth time somebody else wrote the last word, every eleventh nobody was assigned.
        assignee = None if number % 11 == 0 else agent
        return Survey(
            survey_id=f"{self.account_id}-history-{number}",
            ticket_id=f"history-{number}",
            resolved_version=1,
            subject=self._dice.choice(SUBJECTS),
            requester_name=self._dice.choice(PEOPLE),
            priority=self._dice.choices(tuple(PRIORITIES), tuple(PRIORITIES.values()))[0],
            channel=self._dice.choices(tuple(CHANNELS), tuple(CHANNELS.values()))[0],
            agent=agent,
            assignee=assignee,
            last_replier=self.agents[number % len(self.agents)] if assignee and number % 5 == 0 else agent,
            created_at=asked_at,
            expires_at=asked_at + timedelta(days=14),
        )

    def _skipped(self, survey: Survey) -> SurveySkipped:
        somebody = Requester(requester_id="somebody", name=survey.requester_name, email="somebody@customer.example")
        ticket = Ticket(
            ticket_id=survey.ticket_id,
            version=1,
            subject=survey.subject,
            status="resolved",
            requester=somebody,
            created_at=survey.created_at,
            priority=survey.priority,
            channel=survey.channel,
            assignee=survey.assignee,
            last_replier=survey.last_replier,
        )
        reason = self._dice.choice(("opted_out", "asked_recently", "asked_recently"))
        return SurveySkipped(account_id=self.account_id, ticket=ticket, reason=reason, skipped_at=survey.created_at)

    def _outcome(self, survey: Survey, *, harder: float) -> Iterator[SurveyExpired | SurveySubmitted]:
        """Tell of an answer or of an end, if there was one: `harder` times as many low scores as usual."""
        answered_at = survey.created_at + timedelta(minutes=self._dice.expovariate(1 / 600))
        fate = self._dice.random()
        if fate < 0.28 or answered_at > self.now:
            if fate < 0.05:
                reason, at = ("reopened" if fate < 0.03 else "undeliverable"), survey.created_at + timedelta(minutes=20)
            else:
                reason, at = "unanswered", survey.expires_at
            if at < self.now:
                yield SurveyExpired(account_id=self.account_id, survey=survey, reason=reason, expired_at=at)
            return
        assert survey.agent is not None
        harder *= HARDER.get(survey.priority, 1) * HARDER.get(survey.channel, 1)
        usual = RATED[survey.agent.agent_id][0]
        weights = [weight * (harder if score <= 3 else 1) for score, weight in enumerate(usual, start=1)]
        (score,) = self._dice.choices(range(1, 6), weights)
        is_low = score <= 2
        (picked,) = self._dice.choices(self.reasons, range(len(self.reasons), 0, -1))
        yield SurveySubmitted(
            account_id=self.account_id,
            survey=survey,
            score=score,
            comment=self._dice.choice(COMPLAINTS if is_low else PRAISE) if self._dice.random() < 0.45 else "",
            reason=picked if is_low and self._dice.random() < 0.8 else None,
            submitted_at=answered_at,
        )
