"""shared/chassis/outbox.py as a state machine: from a transaction to Kafka's log.

Three transactions each say one event: A1 and A2 about one aggregate, B1 about another. Two relays run, as in a service
with two replicas. A relay reads two rows at a time, so that three take it two rounds.

What a step is in the code:

- draws its id: the aggregate's row is locked, then `emit`; the row has its id, and nobody else sees it yet.
- commits, rolls back: the session ends, and with it the lock.
- reads: `Relay.lead` takes the advisory lock unless it has it; `_publish_oldest` selects `_OLDEST`.
- sends: `producer.send` with the broker's acknowledgement; an idempotent producer repeats until the broker has it once.
- is refused: the broker takes neither the row nor what is behind it on its key. The round goes on with other keys.
- deletes: the DELETE of what was acknowledged. If something was refused, `lead` ends, and with it connection and lock.
- is killed: the process ends, and with it connection and lock.
- loses its connection: the other relay may take the lock. This one learns of it when it deletes, and has sent by then.

A request that is still on its way when its relay is killed is sent by one that lost its connection.

Bounds: as many faults as `faults` says, of any kinds: kills, lost connections, refusals, rollbacks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.checker import Step

A1, A2, B1 = range(3)
NAMES = ("A1", "A2", "B1")
KEY = (0, 0, 1)
"""Of each event: its key, which is its partition as well."""

ROWS = 2
"""How many rows a relay reads at once."""

Log = tuple[tuple[int, ...], tuple[int, ...]]
"""Of each partition: the events in it."""


class Relay(NamedTuple):
    """What a relay remembers. It dies with its process."""

    leads: bool = False
    rows: tuple[int, ...] | None = None
    """The round it is in: what it read and was not refused."""
    sent: int = 0
    refused: bool = False


IDLE = Relay()


class State(NamedTuple):
    """The service's database, its relays, and Kafka's log."""

    fates: tuple[str, ...] = ("idle", "idle", "idle")
    """Of each event's transaction: idle, open, committed or rolled back."""
    rows: tuple[int, ...] = ()
    """The outbox in the order of its ids, with rows of open transactions."""
    passed: int = 0
    """How many rows a cursor has passed. The protocol has none; a mutant does."""
    commits: Log = ((), ())
    """Of each key: its events in the order of their commits."""
    relays: tuple[Relay, Relay] = (IDLE, IDLE)
    log: Log = ((), ())
    faults: int = 0


@dataclass(frozen=True)
class Publishing:
    """The protocol. What is true here is what the code does; each of these made false is a mistake one could make."""

    faults: int = 3

    writes_a_row: bool = True
    """An event is a row of its transaction, not a message sent from within it."""
    locks_the_aggregate: bool = True
    """Before the row is written, so that ids of one key are drawn in the order of the commits."""
    one_relay_leads: bool = True
    shares_no_rows: bool = True
    """No `SKIP LOCKED`: whoever reads gets the oldest rows, whoever else reads them."""
    deletes_rows: bool = True
    """Instead of remembering the highest id it has passed."""
    deletes_after_sending: bool = True
    deletes_only_what_was_sent: bool = True
    holds_back_what_follows_a_refusal: bool = True
    """Of the same key, until the refused row has been sent."""

    def beginnings(self) -> list[State]:
        """Nothing has happened."""
        return [State()]

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that can happen next."""
        for event in (A1, A2, B1):
            yield from self._transaction(state, event)
        for number in (0, 1):
            yield from self._relay(state, number)

    def _transaction(self, state: State, event: int) -> Iterator[Step]:
        name, key, fates = NAMES[event], KEY[event], state.fates
        match fates[event]:
            case "idle":
                if event == A2 and fates[A1] == "idle":
                    return  # A1 is what we call the first of the two
                if self.locks_the_aggregate and event == A2 and fates[A1] == "open":
                    return  # waits for the lock
                after = state._replace(fates=put(fates, event, "open"))
                if self.writes_a_row:
                    yield Step("chance", f"{name} draws its id", after._replace(rows=(*state.rows, event)))
                else:
                    yield Step("chance", f"{name} is sent from its transaction", _append(after, event))
            case "open":
                commits = put(state.commits, key, (*state.commits[key], event))
                yield Step(
                    "own", f"{name} commits", state._replace(fates=put(fates, event, "committed"), commits=commits)
                )
                if state.faults < self.faults:
                    after = _delete(state, (event,))._replace(fates=put(fates, event, "rolled back"))
                    yield Step("fault", f"{name} rolls back", after._replace(faults=state.faults + 1))

    def _relay(self, state: State, number: int) -> Iterator[Step]:
        relay, other = state.relays[number], state.relays[1 - number]
        name = f"relay {number + 1}"

        def becomes(relay: Relay, after: State = state) -> State:
            return after._replace(relays=put(after.relays, number, relay))

        if relay.rows is None:
            # Two idle relays are alike: the first goes first.
            may_lead = (number == 0 or other != IDLE) and not (self.one_relay_leads and other.leads)
            if (relay.leads or may_lead) and (oldest := self._oldest(state, other)):
                after = becomes(Relay(leads=True, rows=oldest))
                yield Step(
                    "own",
                    f"{name} reads {listed(oldest)}",
                    after if self.deletes_after_sending else _delete(after, oldest),
                )
        elif relay.sent < len(relay.rows):
            event = relay.rows[relay.sent]
            after = becomes(relay._replace(sent=relay.sent + 1))
            yield Step("own", f"{name} sends {NAMES[event]}", _append(after, event))
            if state.faults < self.faults:
                after = becomes(self._refused(relay, event))._replace(faults=state.faults + 1)
                yield Step("fault", f"{name} is refused {NAMES[event]}", after)
        elif not relay.leads:
            yield Step("own", f"{name} cannot delete: its connection is gone", becomes(IDLE))
        else:
            after = becomes(Relay(leads=not relay.refused))
            if self.deletes_rows:
                yield Step("own", f"{name} deletes {listed(relay.rows)}", _delete(after, relay.rows))
            else:
                passed = max(state.passed, state.rows.index(relay.rows[-1]) + 1) if relay.rows else state.passed
                yield Step("own", f"{name} passes {listed(relay.rows)}", after._replace(passed=passed))

        if relay != IDLE and state.faults < self.faults:
            yield Step("fault", f"{name} is killed", becomes(IDLE)._replace(faults=state.faults + 1))
        if relay.leads and relay.rows is not None and state.faults < self.faults:
            after = becomes(relay._replace(leads=False))._replace(faults=state.faults + 1)
            yield Step("fault", f"{name} loses its connection", after)

    def _oldest(self, state: State, other: Relay) -> tuple[int, ...]:
        visible = [row for row in state.rows[state.passed :] if state.fates[row] == "committed"]
        if not self.shares_no_rows:
            visible = [row for row in visible if row not in (other.rows or ())]
        return tuple(visible[:ROWS])

    def _refused(self, relay: Relay, event: int) -> Relay:
        assert relay.rows is not None
        if not self.deletes_only_what_was_sent:
            return relay._replace(sent=relay.sent + 1, refused=True)
        behind = relay.rows[relay.sent + 1 :]
        if self.holds_back_what_follows_a_refusal:
            behind = tuple(row for row in behind if KEY[row] != KEY[event])
        return relay._replace(rows=relay.rows[: relay.sent] + behind, refused=True)

    def complaint(self, state: State, *, at_rest: bool) -> str | None:
        """What may not be, now or when everything has been done."""
        for key in (0, 1):
            said = tuple(dict.fromkeys(state.log[key]))
            for event in said:
                if state.fates[event] == "rolled back":
                    return f"{NAMES[event]} is said and did not happen"
            if self.writes_a_row and said != state.commits[key][: len(said)]:
                return f"{listed(said)} is said, {listed(state.commits[key])} is what happened"
            if len(said) < len(state.log[key]) and not state.faults:
                return f"{NAMES[state.log[key][-1]]} is said twice, though nothing failed"
        if at_rest:
            for event in (A1, A2, B1):
                if state.fates[event] == "committed" and event not in state.log[KEY[event]]:
                    return f"{NAMES[event]} is never said"
        return None


def put(items: tuple, index: int, item: object) -> tuple:
    """The tuple with another item at an index."""
    return (*items[:index], item, *items[index + 1 :])


def listed(events: tuple[int, ...]) -> str:
    """Names of events."""
    return ", ".join(NAMES[event] for event in events) or "nothing"


def _append(state: State, event: int) -> State:
    return state._replace(log=put(state.log, KEY[event], (*state.log[KEY[event]], event)))


def _delete(state: State, rows: tuple[int, ...]) -> State:
    return state._replace(rows=tuple(row for row in state.rows if row not in rows))
