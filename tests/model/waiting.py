"""shared/chassis/consumer.py's records that came before their account, as a state machine.

Two topics, so two consumers side by side, on one database: one is given a record whose handler wants the account, the
other the account's record. The key they meet under is the account's.

What a step is in the code:

- finds no account: the handler raises `Awaits` and its transaction is rolled back; `_park` is next.
- opens: a transaction holds the key, `_one_at_a_time`, and has looked: `_park` for the account by running the handler
  once more, the account's `_apply` for who waits. What it writes is not visible yet.
- commits: of `_park`, the effect or a dead letter that waits; of the account's record, the account and those it woke.
- is killed: the transaction is rolled back and the record comes again.

Bounds: two records that wait, and as many kills as `faults` says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.checker import Step
from tests.model.publishing import put

RECORDS = (0, 1)
NAMES = ("R1", "R2")


class State(NamedTuple):
    """The database, how far the consumer of records is, and whether the account's has an open transaction."""

    known: bool = False
    """The account has been told of."""
    effects: tuple[int, int] = (0, 0)
    waiting: tuple[int, ...] = ()
    at: int = 0
    """The record that its consumer is at; one commit takes it to the next."""
    parks: bool = False
    """The handler raised `Awaits` on it."""
    found: bool | None = None
    """What the open transaction of `_park` saw: whether the account is known."""
    woken: tuple[int, ...] | None = None
    """What the open transaction of the account's record saw: who waits."""
    faults: int = 0


@dataclass(frozen=True)
class Waiting:
    """The protocol. What is true here is what the code does; each of these made false is a mistake one could make."""

    faults: int = 2

    holds_the_key: bool = True
    looks_again_before_it_waits: bool = True

    def beginnings(self) -> list[State]:
        """Nothing has happened."""
        return [State()]

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that can happen next."""
        free = not self.holds_the_key or (state.found is None and state.woken is None)
        if state.at < len(RECORDS):
            yield from self._record(state, NAMES[state.at], free)
        yield from self._account(state, free)

    def _record(self, state: State, name: str, free: bool) -> Iterator[Step]:
        after = state._replace(at=state.at + 1, parks=False, found=None)
        takes = after._replace(effects=put(state.effects, state.at, state.effects[state.at] + 1))
        waits = after._replace(waiting=(*state.waiting, state.at))
        if not state.parks:
            if state.known:
                yield Step("own", f"{name} is taken", takes)
            else:
                yield Step("own", f"{name} finds no account", state._replace(parks=True))
        elif state.found is None:
            if free:
                found = state.known and self.looks_again_before_it_waits
                yield Step("own", f"{name}'s transaction opens", state._replace(found=found))
        else:
            yield Step("own", f"{name} is taken", takes) if state.found else Step("own", f"{name} waits", waits)
        if state.parks and state.faults < self.faults:
            killed = state._replace(parks=False, found=None, faults=state.faults + 1)
            yield Step("fault", f"{name}'s consumer is killed", killed)

    def _account(self, state: State, free: bool) -> Iterator[Step]:
        if state.woken is None:
            if free and not state.known:
                yield Step("chance", "the account's transaction opens", state._replace(woken=state.waiting))
            return
        effects = state.effects
        for record in state.woken:
            effects = put(effects, record, effects[record] + 1)
        left = tuple(record for record in state.waiting if record not in state.woken)
        after = state._replace(known=True, effects=effects, waiting=left, woken=None)
        yield Step("own", "the account's transaction commits", after)
        if state.faults < self.faults:
            killed = state._replace(woken=None, faults=state.faults + 1)
            yield Step("fault", "the account's consumer is killed", killed)

    def complaint(self, state: State, *, at_rest: bool) -> str | None:
        """What may not be, now or when everything has been done."""
        for record in RECORDS:
            if state.effects[record] > 1:
                return f"{NAMES[record]} has its effect twice"
        if at_rest and state.known and state.waiting:
            return f"{NAMES[state.waiting[0]]} waits for ever, though its account is known"
        return None
