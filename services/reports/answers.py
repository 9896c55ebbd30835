"""The API's answers, as OpenAPI describes them. Shares are 0 to 1; days are days in the account's time zone."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from services.reports.days import Days, Granularity
from services.reports.figures import Totals
from services.reports.queries import Asked
from services.reports.satisfaction import SCORES, Scores, Share, response_rate
from services.reports.tables import Account, Rating

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

    @classmethod
    def by(cls, asked: Asked, account: Account) -> "Covered":
        """Repeat what was asked."""
        return cls(from_=asked.days.start, to=asked.days.end, time_zone=account.time_zone, agent=asked.agent_id)


class Figures(Struct, frozen=True):
    """What the scores of some responses come to."""

    responses: Annotated[int, Meta(ge=0, description="Responses given in the range.")]
    average: Average
    csat: Annotated[ShareOf, Meta(description="Fours and fives among the responses.")]

    @classmethod
    def of(cls, scores: Scores) -> "Figures":
        """Compute them."""
        return cls(scores.n, scores.average, ShareOf.of(scores.csat))


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


class Summary(Struct, frozen=True, kw_only=True):
    """The figures of a range."""

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

    @classmethod
    def of(cls, covered: Covered, totals: Totals) -> "Summary":
        """Compute it."""
        return cls(
            covered=covered,
            satisfaction=Figures.of(totals.scores),
            response_rate=ShareOf.of(response_rate(totals.surveys)),
            surveys=Surveys(**totals.surveys),
            skipped=Skipped(**totals.skipped),
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


class AgentFigures(Struct, frozen=True):
    """One agent's figures. A ticket is its assignee's at the resolution, else who replied last, else nobody's."""

    agent_id: AgentId
    name: Annotated[str | None, Meta(description="The newest name in the range.")]
    satisfaction: Figures
    rank: Annotated[
        int | None,
        Meta(
            description="1 is best, by CSAT and then by average; equals share a rank. Null with fewer than 5 responses,"
            " too few to rank, and for nobody."
        ),
    ]


class Agents(Struct, frozen=True):
    """Every agent with a response in the range, best first; those who cannot be ranked behind, by name."""

    covered: Covered
    agents: list[AgentFigures]


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
    priority: Literal["low", "normal", "high", "urgent"]
    channel: str
    score: Score
    comment: Annotated[str, Meta(description="Plain text of at most 2,000 characters; may be empty.")]
    submitted_at: datetime

    @classmethod
    def of(cls, rating: Rating) -> "Response":
        """Write a rating."""
        return cls(*(getattr(rating, name) for name in cls.__struct_fields__))


class Responses(Struct, frozen=True):
    """A page of responses, newest first."""

    covered: Covered
    responses: list[Response]
    next: Annotated[str | None, Meta(description="`cursor` of the next page; null on the last one.")]


class Wrong(Struct, frozen=True):
    """What is wrong with a parameter."""

    parameter: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """Problem details. Source: RFC 9457."""

    type: Annotated[str, Meta(description="A URI that names the kind of problem; about:blank: see `status`.")]
    title: str
    status: int
    detail: str = ""
    errors: list[Wrong] = []
