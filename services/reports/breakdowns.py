"""The API's answers about parts of a whole: agents, priorities, channels, reasons."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from services.reports.answers import AgentId, Count, Covered, Figures, ShareOf
from services.reports.figures import Part
from services.reports.satisfaction import share
from shared.contracts.ticket import Priority


class AgentFigures(Struct, frozen=True):
    """One agent's figures. Whose a ticket was at the resolution is told by `attribution`."""

    agent_id: AgentId
    name: Annotated[str | None, Meta(description="The newest name in the range.")]
    satisfaction: Figures
    rank: Annotated[
        int | None,
        Meta(
            description="1 is best, by the lower end of CSAT's interval and then by average; equals share a rank. Null"
            " with fewer than 5 responses, too few to rank, for nobody, and where one agent is asked for."
        ),
    ]


class Agents(Struct, frozen=True):
    """Every agent with a response in the range, best first; those who cannot be ranked behind, by name."""

    covered: Covered
    agents: list[AgentFigures]


class PriorityFigures(Struct, frozen=True):
    """The figures of one priority."""

    priority: Priority
    satisfaction: Figures
    response_rate: ShareOf


class Priorities(Struct, frozen=True):
    """Every priority with a survey, a response or a resolution in the range, urgent first."""

    covered: Covered
    priorities: list[PriorityFigures]

    @classmethod
    def of(cls, covered: Covered, found: list[Part]) -> "Priorities":
        """Write it."""
        return cls(covered, [PriorityFigures(*_figures(part)) for part in found])


class ChannelFigures(Struct, frozen=True):
    """The figures of one channel."""

    channel: str
    satisfaction: Figures
    response_rate: ShareOf


class Channels(Struct, frozen=True):
    """Every channel with a survey, a response or a resolution in the range, the one with most responses first."""

    covered: Covered
    channels: list[ChannelFigures]

    @classmethod
    def of(cls, covered: Covered, found: list[Part]) -> "Channels":
        """Write it."""
        return cls(covered, [ChannelFigures(*_figures(part)) for part in found])


def _figures(part: Part) -> tuple[Any, Figures, ShareOf]:
    return part.name, Figures.of(part.scores), ShareOf.of(part.response_rate)


class ReasonCount(Struct, frozen=True):
    """How often a reason was given."""

    reason: Annotated[str, Meta(description="The code of what was picked with one or two stars.")]
    responses: Count
    share: Annotated[ShareOf, Meta(description="Of the responses that gave a reason.")]


class Reasons(Struct, frozen=True):
    """What requesters picked as a reason for a low score in the range, most frequent first."""

    covered: Covered
    reasons: list[ReasonCount]

    @classmethod
    def of(cls, covered: Covered, found: list[tuple[str, int]]) -> "Reasons":
        """Compute it."""
        n = sum(count for _, count in found)
        return cls(covered, [ReasonCount(reason, count, ShareOf.of(share(count, n))) for reason, count in found])
