"""The API's answers, as OpenAPI describes them. Shares are 0 to 1; days are days in the account's time zone."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from services.reports.asked import Asked, Attribution
from services.reports.days import Days, Granularity
from services.reports.figures import Comparison, Totals
from services.reports.satisfaction import SCORES, Difference, Scores, Share
from services.reports.settings import ticket_url
from shared.chassis.prepared import Row
from shared.contracts.ticket import Priority

Score = Annotated[int, Meta(ge=1, le=5, description="1 (worst) to 5 stars.")]
Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Average = Annotated[float | None, Meta(description="Mean of the scores, 1 to 5; null without responses.")]
AgentId = Annotated[str | None, Meta(description="Null: nobody was assigned and nobody had replied.")]


class ShareOf(Struct, frozen=True):
    """A share of n, with its Wilson score interval at 95 % confidence. Null where n is 0."""

    n: Annotated[int, Meta(ge=0, description="What it is a share of.")]
    value: Fraction | None
    low: Annotated[Fraction | None, Meta(description="Lower end of the interval.")]
    high: Annotated[Fraction | None, Meta(description="Upper end of the interval.")]

    @classmethod
    def of(cls, share: Share) -> "ShareOf":
        """Write a share."""
        return cls(share.n, share.value, share.low, share.high)


class Covered(Struct, frozen=True, kw_only=True):
    """What an answer is about."""

    from_: Annotated[date, Meta(description="First day.")] = field(name="from")
    to: Annotated[date, Meta(description="The day after the last one.")]
    time_zone: Annotated[str, Meta(description="The account's, IANA name. Days are days in it.")]
    agent: Annotated[str | None, Meta(description="The agent asked for; null for all.")]
    priority: Annotated[list[Priority], Meta(description="Those asked for; empty for all.")]
    channel: Annotated[list[str], Meta(description="Those asked for; empty for all.")]
    attribution: Attribution

    @classmethod
    def by(cls, asked: Asked) -> "Covered":
        """Repeat what was asked."""
        return cls(
            from_=asked.days.start,
            to=asked.days.end,
            time_zone=asked.account.time_zone,
            agent=asked.agent_id,
            priority=list(asked.priorities),
            channel=list(asked.channels),
            attribution=asked.attribution,
        )


class Interval(Struct, frozen=True):
    """What holds the true value with 95 % confidence."""

    low: float
    high: float


class Figures(Struct, frozen=True):
    """What the scores of some responses come to."""

    responses: Annotated[int, Meta(ge=0, description="Responses given in the range.")]
    average: Average
    average_interval: Annotated[
        Interval | None,
        Meta(description="Student's interval of it. Null with fewer than 5 responses, and where all scores are equal."),
    ]
    csat: Annotated[ShareOf, Meta(description="Fours and fives among the responses.")]

    @classmethod
    def of(cls, scores: Scores) -> "Figures":
        """Compute them."""
        about = scores.average_interval
        return cls(scores.n, scores.average, about and Interval(about.low, about.high), ShareOf.of(scores.csat))


class Surveys(Struct, frozen=True):
    """The surveys created in the range, by what became of them until now."""

    pending: Count = 0
    submitted: Count = 0
    expired: Count = 0
    withdrawn: Annotated[int, Meta(ge=0, description="The ticket was reopened before an answer.")] = 0
    undeliverable: Annotated[
        int, Meta(ge=0, description="The invitation could not be delivered: the requester was never asked.")
    ] = 0


class Skipped(Struct, frozen=True):
    """The resolutions in the range that led to no survey, by reason."""

    disabled: Annotated[int, Meta(ge=0, description="The account asks nobody.")] = 0
    no_address: Annotated[int, Meta(ge=0, description="The requester cannot be reached.")] = 0
    too_old: Annotated[int, Meta(ge=0, description="Heard of when the survey would have been over.")] = 0
    not_sampled: Annotated[int, Meta(ge=0, description="The account asks about a share of its resolutions.")] = 0
    opted_out: Annotated[int, Meta(ge=0, description="The requester wants no surveys.")] = 0
    no_reply: Annotated[int, Meta(ge=0, description="No agent had answered.")] = 0
    asked_recently: Annotated[int, Meta(ge=0, description="The requester had been asked a short while ago.")] = 0


class Change(Struct, frozen=True, kw_only=True):
    """How a figure differs from the days before, with the interval of the difference at 95 % confidence.

    The interval is Newcombe's for shares and Welch's for averages. All but `before` and `n` are null where one side is
    of fewer than 5, and for averages where all scores are equal: too few to tell.
    """

    n: Annotated[int, Meta(ge=0, description="How many `before` is of.")]
    before: Annotated[float | None, Meta(description="The figure of the days before; null without any.")]
    difference: Annotated[float | None, Meta(description="The figure less the one before.")]
    low: Annotated[float | None, Meta(description="Lower end of the interval.")]
    high: Annotated[float | None, Meta(description="Upper end of the interval.")]
    more_than_noise: Annotated[bool | None, Meta(description="Whether the interval leaves out zero.")]

    @classmethod
    def of(cls, n: int, before: float | None, difference: Difference | None) -> "Change":
        """Write a difference."""
        if difference is None:
            return cls(n=n, before=before, difference=None, low=None, high=None, more_than_noise=None)
        return cls(
            n=n,
            before=before,
            difference=difference.value,
            low=difference.low,
            high=difference.high,
            more_than_noise=difference.more_than_noise,
        )


class Previous(Struct, frozen=True, kw_only=True):
    """The days before, by the same filters, and how the range differs from them.

    As many days, right before; for a preset of a week, month, quarter or year the whole one before.
    """

    from_: Annotated[date, Meta(description="First day.")] = field(name="from")
    to: Annotated[date, Meta(description="The day after the last one.")]
    average: Change
    csat: Change
    response_rate: Annotated[
        Change,
        Meta(
            description="So far: surveys that are still open count as unanswered, and the interval leaves room for what"
            " may become of them. `surveys.pending` tells how many there are."
        ),
    ]

    @classmethod
    def of(cls, compared: Comparison) -> "Previous":
        """Write a comparison."""
        before = compared.totals
        csat, rate = before.scores.csat, before.response_rate
        return cls(
            from_=compared.days.start,
            to=compared.days.end,
            average=Change.of(before.scores.n, before.scores.average, compared.average),
            csat=Change.of(csat.n, csat.value, compared.csat),
            response_rate=Change.of(rate.n, rate.value, compared.response_rate),
        )


class Summary(Struct, frozen=True, kw_only=True):
    """The figures of a range, beside those of the days before."""

    covered: Covered
    satisfaction: Figures
    response_rate: Annotated[
        ShareOf,
        Meta(
            description="Of the surveys created in the range, those that were ever answered. Withdrawn and"
            " undeliverable ones count neither way, open ones as unanswered so far."
        ),
    ]
    surveys: Surveys
    skipped: Skipped
    previous: Previous

    @classmethod
    def of(cls, covered: Covered, totals: Totals, compared: Comparison) -> "Summary":
        """Compute it."""
        return cls(
            covered=covered,
            satisfaction=Figures.of(totals.scores),
            response_rate=ShareOf.of(totals.response_rate),
            surveys=Surveys(**totals.surveys),
            skipped=Skipped(**totals.skipped),
            previous=Previous.of(compared),
        )


class ScoreShare(Struct, frozen=True):
    """How often a score was given."""

    score: Score
    responses: Count
    share: ShareOf


class Distribution(Struct, frozen=True):
    """How often each score was given, ones first."""

    covered: Covered
    scores: list[ScoreShare]

    @classmethod
    def of(cls, covered: Covered, scores: Scores) -> "Distribution":
        """Compute it."""
        return cls(
            covered,
            [ScoreShare(score, scores.counts[score - 1], ShareOf.of(scores.share_of(score))) for score in SCORES],
        )


class Period(Struct, frozen=True, kw_only=True):
    """The figures of a day, a week or a month, or of as much of it as is in the range."""

    from_: Annotated[date, Meta(description="First day.")] = field(name="from")
    to: Annotated[date, Meta(description="The day after the last one.")]
    satisfaction: Figures

    @classmethod
    def of(cls, days: Days, scores: Scores) -> "Period":
        """Compute it."""
        return cls(from_=days.start, to=days.end, satisfaction=Figures.of(scores))


class Trend(Struct, frozen=True):
    """The figures over time: every period of the range, those without responses too."""

    covered: Covered
    granularity: Granularity
    periods: list[Period]


class Response(Struct, frozen=True):
    """One requester's answer."""

    survey_id: str
    ticket_id: str
    subject: str
    requester_name: str
    agent_id: AgentId
    agent_name: str | None
    assignee_id: Annotated[str | None, Meta(description="Null: nobody's, or of a survey that did not tell it.")]
    assignee_name: str | None
    last_replier_id: Annotated[str | None, Meta(description="Null: nobody, or of a survey that did not tell it.")]
    last_replier_name: str | None
    priority: Priority
    channel: str
    score: Score
    reason: Annotated[str | None, Meta(description="The code of what was picked with one or two stars.")]
    comment: Annotated[str, Meta(description="Plain text of at most 2,000 characters; may be empty.")]
    submitted_at: datetime
    ticket_url: Annotated[
        str | None, Meta(description="The ticket at the help desk; null where TICKET_URL is not set.")
    ]

    @classmethod
    def of(cls, rating: Row, tickets_at: str | None) -> "Response":
        """Write a rating; `tickets_at` is the setting TICKET_URL."""
        facts = {name: rating[name] for name in cls.__struct_fields__ if name != "ticket_url"}
        address = ticket_url(tickets_at, rating.account_id, rating.ticket_id) if tickets_at else None
        return cls(**facts, ticket_url=address)


class Responses(Struct, frozen=True):
    """A page of responses, newest first."""

    covered: Covered
    responses: list[Response]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null on the last one.")]
