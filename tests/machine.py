"""State machines that play with a service on stage: Hypothesis chooses what happens, a model says what comes of it."""

import asyncio
import os
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from shared.contracts import Event
from tests.stage import Delivery, Stage, delivery_of, next_offset

T = TypeVar("T")

SEED = 20261125
"""Of the plays in CI, where nobody's change should fail for another's. On every desk there are new ones each time."""

REPEATS = ("as it was", "published again", "said under another id")


@dataclass(frozen=True)
class Telling:
    """An event and the record it travels in."""

    event: Event
    record: Delivery

    def repeated(self, how: str) -> "Telling":
        """The same event once more, as one of REPEATS."""
        match how:
            case "published again":
                return replace(self, record=replace(self.record, offset=next_offset()))
            case "said under another id":
                return telling(self.event)
            case _:
                return self


def telling(event: Event) -> Telling:
    """Publish an event."""
    return Telling(event, delivery_of(event))


class Play(RuleBasedStateMachine):
    """A machine on a stage that was cleared for it. Its rules are not coroutines, so they `run` them."""

    def __init__(self, stage: Stage, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.stage = stage
        self.everything: list[Telling] = []
        """What was published, heard or not."""
        self._loop = loop
        self.run(stage.clear())

    @abstractmethod
    def hears(self, event: Event) -> None:
        """Tell the model that an event is heard."""

    @property
    def now(self) -> datetime:
        """The time on stage."""
        return self.stage.clock.now

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what only a coroutine can do, on the loop that the stage lives in."""
        return self._loop.run_until_complete(work)

    def at_once(self, *work: Coroutine[Any, Any, T]) -> list[T]:
        """Do it all side by side."""

        async def side_by_side() -> list[T]:
            await self.stage.forget_visits()  # how often somebody comes is another story: tests/attacks
            return await asyncio.gather(*work)

        return self.run(side_by_side())

    @rule(how=st.sampled_from(REPEATS))
    def topics_are_read_from_their_start(self, how: str) -> None:
        """Hear all that was published, as after a loss of the offsets, or when a publisher says it all once more."""
        for told in self.everything:
            self.hear(told.repeated(how))

    def get(self, path: str) -> httpx.Response:
        """Open a page."""
        (answer,) = self.at_once(self.stage.client.get(path))
        return answer

    def tells(self, event: Event, *, at_once: bool) -> Telling:
        """Publish an event. It is heard at once, or later, or never."""
        new = telling(event)
        self.everything.append(new)
        if at_once:
            self.hear(new)
        return new

    def hear(self, *tellings: Telling) -> None:
        """Let records arrive, those of one topic in a batch, topics side by side."""
        by_topic: dict[str, list[Delivery]] = {}
        for heard in tellings:
            by_topic.setdefault(heard.event.topic, []).append(heard.record)
        self.at_once(*(self.stage.hears(*records) for records in by_topic.values()))
        for heard in tellings:
            self.hears(heard.event)


def play(machine: Callable[[], Play]) -> None:
    """Let a machine play for some ten seconds."""
    run_state_machine_as_test(
        seed(SEED)(machine) if os.environ.get("CI") else machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            # No search for a shorter play: each costs half a second. Whoever is to mend one adds Phase.shrink.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
