"""Looks at every state a protocol can get into, breadth first, so that what it finds is as short as can be.

Three kinds of step are told apart: what the protocol does by itself (`own`), what somebody may do or leave (`chance`),
and what goes wrong (`fault`). A state is at rest when the protocol has nothing to do by itself.
"""

import time
from array import array
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


class Step(NamedTuple):
    """One thing that can happen in a state, in words, and the state after it."""

    kind: Literal["own", "chance", "fault"]
    what: str
    after: Hashable


class Checkable(Protocol):
    """What the checker asks of a protocol."""

    def beginnings(self) -> Iterable[Hashable]:
        """The states it may begin in."""
        ...

    def steps(self, state: Hashable) -> Iterable[Step]:
        """Everything that can happen next."""
        ...

    def complaint(self, state: Hashable, *, at_rest: bool) -> str | None:
        """What is wrong with a state; `at_rest` when the protocol will do nothing more by itself."""
        ...


@dataclass(frozen=True)
class Counterexample:
    """How something goes wrong: the steps that lead there, and what is wrong then."""

    complaint: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What a look at every state came to. With a counterexample the look ended there."""

    states: int
    transitions: int
    seconds: float
    counterexample: Counterexample | None


def explore(protocol: Checkable) -> Outcome:
    """Visit every reachable state, nearest first, until one is wrong; then look for states with no way to a good end.

    A good end is a state at rest with no complaint, and it must be reachable by the protocol's own steps alone: once
    nothing goes wrong any more, and without anybody's help.
    """
    began = time.perf_counter()
    states: list[Hashable] = list(dict.fromkeys(protocol.beginnings()))
    number_of = {state: number for number, state in enumerate(states)}
    came_from = array("q", [-1] * len(states))
    own_from, own_to = array("q"), array("q")
    resting: list[int] = []
    transitions = 0

    def outcome(complaint: str | None = None, number: int = -1) -> Outcome:
        found = Counterexample(complaint, _way_to(protocol, states, came_from, number)) if complaint else None
        return Outcome(len(states), transitions, time.perf_counter() - began, found)

    number = 0
    while number < len(states):
        state = states[number]
        at_rest = True
        for kind, _, after in protocol.steps(state):
            transitions += 1
            reached = number_of.get(after)
            if reached is None:
                reached = number_of[after] = len(states)
                states.append(after)
                came_from.append(number)
            if kind == "own":
                at_rest = False
                own_from.append(number)
                own_to.append(reached)
        if complaint := protocol.complaint(state, at_rest=at_rest):
            return outcome(complaint, number)
        if at_rest:
            resting.append(number)
        number += 1

    hopeless = _without_way_to(resting, len(states), own_from, own_to)
    return outcome("it never comes to rest", hopeless) if hopeless is not None else outcome()


def _way_to(protocol: Checkable, states: list[Hashable], came_from: array, number: int) -> tuple[str, ...]:
    """Tell the steps to a state, from its beginning."""
    steps = []
    while (before := came_from[number]) >= 0:
        steps.append(next(step.what for step in protocol.steps(states[before]) if step.after == states[number]))
        number = before
    return tuple(reversed(steps))


def _without_way_to(ends: list[int], count: int, own_from: array, own_to: array) -> int | None:
    """Find the nearest state from which the protocol's own steps reach none of `ends`."""
    first_edge, next_edge = array("q", [-1] * count), array("q", [-1] * len(own_to))
    for edge, reached in enumerate(own_to):
        next_edge[edge] = first_edge[reached]
        first_edge[reached] = edge
    hopeful = bytearray(count)
    for end in ends:
        hopeful[end] = True
    pending = list(ends)
    while pending:
        edge = first_edge[pending.pop()]
        while edge >= 0:
            before = own_from[edge]
            if not hopeful[before]:
                hopeful[before] = True
                pending.append(before)
            edge = next_edge[edge]
    nearest = hopeful.find(0)
    return None if nearest < 0 else nearest
