"""shared/chassis/consumer.py, inbox.py and kafka.py as a state machine: from Kafka's log to one effect for each event.

The log grows as `Publishing` is shown to let it: a key's events come in order, and any may come again. The handler may
fail on A2 for a reason of the record's own, until somebody mends it and replays the dead letters. Two consumers run, as
in a service with two replicas; the first has both partitions until the group gives one or both to the second.

What a step is in the code:

- is given: FastStream's `getmany`; all there is from each partition's position on, which moves past it.
- takes: `Consumer.take`; inbox rows, effects and what they say in one transaction.
- goes one by one: a handler failed and `take` was rolled back; each record gets a transaction of its own, `take_alone`.
  That the code comes to it by halves, each of them a smaller batch, lets no more happen than this.
- buries: `Consumer._bury`, after attempts that leave no trace and are one here.
- acknowledges: `message.ack()`; commits the position of every partition that is assigned.
- meets an outage: the transaction is rolled back, or it committed and nobody learned of it. kafka.py's `take` waits.
- rewinds: `_rewind`.
- is killed: it, or whoever takes its place, begins at the committed offsets.
- is a zombie: it was away too long and partitions moved. It works on until it is refused an acknowledgement, or learns.
- joins again: a rebalance that leaves it its partitions.
- mended, replayed: `dead-letters replay`, which is `run_letter`, through the same inbox.

A transaction is one step, its commit: who inserts the same inbox row waits for it, so nothing can come in between. The
position of a partition that stays goes back to the committed offset in aiokafka, and stays where it is in clients that
rebalance incrementally; the protocol has to bear both.

To keep states few, what is the same at several moments happens at one: a record enters the log when a consumer that has
its partition is free to be given it, a zombie is made before it takes its batch, and who takes a batch learns of a
rebalance when that is done or has failed.

Bounds: as many faults as `faults` says, of any kinds; one of them at most makes a zombie.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.checker import Step
from tests.model.publishing import A1, A2, B1, KEY, NAMES, Log, listed, put

TOGETHER, WAITS = -1, -2

Place = tuple[int, int]
"""Of a record: its partition and offset."""


class Consumer(NamedTuple):
    """What a consumer remembers. It dies with its process."""

    positions: tuple[int | None, ...]
    """Of each partition: the offset it fetches next; none if the partition is not its own, as far as it knows."""
    batch: tuple[Place, ...] | None = None
    at: int = TOGETHER
    """Where in the batch it is when it goes one by one; at its end when all are taken."""
    zombie: bool = False
    in_hand: tuple = ()
    """What a mutant has decided and not written yet."""


UNASSIGNED = Consumer((None, None))


class State(NamedTuple):
    """Kafka's log and committed offsets, the consumers, and their database."""

    bad: int | None
    """The event that its handler fails on."""
    mended: bool = False
    log: Log = ((), ())
    offsets: tuple[int, ...] = (0, 0)
    consumers: tuple[Consumer, ...] = (Consumer((0, 0)), UNASSIGNED)
    inbox: tuple[bool, ...] = (False, False, False)
    effects: tuple[int, ...] = (0, 0, 0)
    dead_letters: tuple[Place, ...] = ()
    faults: int = 0

    def event(self, place: Place) -> int:
        """The event in a record."""
        partition, offset = place
        return self.log[partition][offset]

    def with_consumer(self, number: int, consumer: Consumer, *, faults: int = 0) -> "State":
        """The state when a consumer has become another, and more has gone wrong."""
        return self._replace(consumers=put(self.consumers, number, consumer), faults=self.faults + faults)

    def with_effects(self, events: tuple[int, ...]) -> "State":
        """The state when events have had their effect, and an inbox row each."""
        inbox, effects = self.inbox, self.effects
        for event in events:
            inbox, effects = put(inbox, event, True), put(effects, event, effects[event] + 1)
        return self._replace(inbox=inbox, effects=effects)


@dataclass(frozen=True)
class Consuming:
    """The protocol. What is true here is what the code does; each of these made false is a mistake one could make."""

    faults: int = 2

    has_an_inbox: bool = True
    inserts_instead_of_looking: bool = True
    """The inbox row is inserted, which one of two can; it is not looked for, which finds nothing for both."""
    inbox_commits_with_effects: bool = True
    acknowledges_after_the_commit: bool = True
    acknowledges_only_what_it_took: bool = True
    rewinds: bool = True
    rewinds_every_partition: bool = True
    """FastStream's nack stops at the first one that is not assigned any more."""
    gives_up: bool = True
    """A record that keeps failing is not tried for ever."""
    buries_what_it_gives_up: bool = True
    buries_before_the_acknowledgement: bool = True
    buries_once: bool = True
    """However often the record is delivered."""
    buries_without_an_inbox_row: bool = True
    waits_out_an_outage: bool = True

    def beginnings(self) -> list[State]:
        """Nothing has happened; the handler is good, or fails on A2."""
        return [State(bad=None), State(bad=A2)]

    def steps(self, state: State) -> Iterator[Step]:
        """Everything that can happen next."""
        may_fail = state.faults < self.faults
        yield from self._publisher(state, may_fail)
        for number, consumer in enumerate(state.consumers):
            if consumer == UNASSIGNED:
                continue
            name = f"consumer {number + 1}"
            if consumer.in_hand:
                yield self._writes(state, number, name)
            elif consumer.batch is None:
                yield from self._is_given(state, number, name)
            elif consumer.at == WAITS:
                yield Step("own", f"{name} rewinds", state.with_consumer(number, self._rewound(consumer)))
            elif consumer.at == len(consumer.batch):
                yield from self._acknowledges(state, number, name, may_fail)
            else:
                yield from self._takes(state, number, name, may_fail)
            yield from self._group(state, number, name, may_fail)
        yield from self._operator(state)

    def _publisher(self, state: State, may_fail: bool) -> Iterator[Step]:
        for event in (A1, A2, B1):
            partition = KEY[event]
            records = state.log[partition]
            if all(consumer.batch or consumer.positions[partition] is None for consumer in state.consumers):
                continue
            log = put(state.log, partition, (*records, event))
            if event not in records:
                if event != A2 or A1 in records:
                    yield Step("chance", f"{NAMES[event]} is published", state._replace(log=log))
            elif may_fail:
                after = state._replace(log=log, faults=state.faults + 1)
                yield Step("fault", f"{NAMES[event]} is published again", after)

    def _is_given(self, state: State, number: int, name: str) -> Iterator[Step]:
        consumer = state.consumers[number]
        batch = tuple(
            (partition, offset)
            for partition, position in enumerate(consumer.positions)
            if position is not None
            for offset in range(position, len(state.log[partition]))
        )
        if not batch:
            return
        ends = tuple(
            None if position is None else len(records)
            for position, records in zip(consumer.positions, state.log, strict=True)
        )
        after = state.with_consumer(number, consumer._replace(positions=ends, batch=batch))
        if not self.acknowledges_after_the_commit:
            after = after._replace(offsets=_moved(state.offsets, ends))
        yield Step("own", f"{name} is given {listed(tuple(map(state.event, batch)))}", after)

    def _takes(self, state: State, number: int, name: str, may_fail: bool) -> Iterator[Step]:
        consumer = state.consumers[number]
        assert consumer.batch is not None
        together = consumer.at == TOGETHER
        records = consumer.batch if together else (consumer.batch[consumer.at],)
        events = tuple(map(state.event, records))
        fresh = events
        if self.has_an_inbox:
            fresh = tuple(event for event in dict.fromkeys(events) if not state.inbox[event])
        waits = consumer._replace(at=WAITS)
        done = consumer._replace(at=len(consumer.batch) if together else consumer.at + 1)
        committed = None
        if state.bad not in fresh or state.mended:
            what, committed, done = self._has_effect(state, fresh, done)
        elif together:
            what, done = "fails and goes one by one", consumer._replace(at=0)
        elif self.gives_up:
            what, committed = f"{self._verb} {listed(events)}", self._buried(state, records[0])
        else:
            what, done = f"fails on {listed(events)}", waits
        yield Step("own", f"{name} {what}", (committed or state).with_consumer(number, done))
        if may_fail:
            yield Step("fault", f"{name} meets an outage", self._after_outage(state, number))
            if committed:
                unseen = committed.with_consumer(number, waits, faults=1)
                yield Step("fault", f"{name} {what}, and an outage hides that it did", unseen)

    def _has_effect(self, state: State, fresh: tuple[int, ...], done: Consumer) -> tuple[str, State | None, Consumer]:
        if fresh and not self.inserts_instead_of_looking:
            return f"finds {listed(fresh)} new", None, done._replace(in_hand=fresh)
        if fresh and not self.inbox_commits_with_effects:
            inbox = tuple(row or event in fresh for event, row in enumerate(state.inbox))
            return f"finds {listed(fresh)} new", state._replace(inbox=inbox), done._replace(in_hand=fresh)
        return f"takes {listed(fresh)}", state.with_effects(fresh), done

    def _after_outage(self, state: State, number: int) -> State:
        consumer = state.consumers[number]
        assert consumer.batch is not None
        if not self.acknowledges_only_what_it_took:
            return state.with_consumer(number, consumer._replace(at=len(consumer.batch)), faults=1)
        if not self.waits_out_an_outage:
            at = max(consumer.at, 0)
            buried = self._buried(state, consumer.batch[at])
            return buried.with_consumer(number, consumer._replace(at=at + 1), faults=1)
        return state.with_consumer(number, consumer._replace(at=WAITS), faults=1)

    @property
    def _verb(self) -> str:
        return "buries" if self.buries_what_it_gives_up and self.buries_before_the_acknowledgement else "gives up"

    def _buried(self, state: State, record: Place) -> State:
        if not self.buries_what_it_gives_up or not self.buries_before_the_acknowledgement:
            return state
        if not self.buries_without_an_inbox_row:
            state = state._replace(inbox=put(state.inbox, state.event(record), True))
        if self.buries_once and record in state.dead_letters:
            return state
        return state._replace(dead_letters=tuple(sorted((*state.dead_letters, record))))

    def _writes(self, state: State, number: int, name: str) -> Step:
        consumer = state.consumers[number]
        after = state.with_consumer(number, consumer._replace(in_hand=()))
        if consumer.batch:
            return Step("own", f"{name} takes {listed(consumer.in_hand)}", after.with_effects(consumer.in_hand))
        events = tuple(map(state.event, consumer.in_hand))
        letters = tuple(sorted({*state.dead_letters, *consumer.in_hand}))
        return Step("own", f"{name} buries {listed(events)}", after._replace(dead_letters=letters))

    def _rewound(self, consumer: Consumer) -> Consumer:
        assert consumer.batch is not None
        positions = list(consumer.positions)
        first: dict[int, int] = {}
        for partition, offset in consumer.batch:
            first.setdefault(partition, offset)
        for partition, offset in first.items() if self.rewinds else ():
            if positions[partition] is not None:
                positions[partition] = offset
            elif not self.rewinds_every_partition:
                break
        return consumer._replace(positions=tuple(positions), batch=None, at=TOGETHER)

    def _acknowledges(self, state: State, number: int, name: str, may_fail: bool) -> Iterator[Step]:
        consumer = state.consumers[number]
        if consumer.zombie:
            return  # refused, and so it learns: `_group`
        assert consumer.batch is not None
        done = consumer._replace(batch=None, at=TOGETHER)
        if not self.buries_before_the_acknowledgement and not state.mended:
            done = done._replace(in_hand=tuple(place for place in consumer.batch if state.event(place) == state.bad))
        after = state.with_consumer(number, done)
        offsets = _moved(state.offsets, consumer.positions)
        yield Step("own", f"{name} acknowledges", after._replace(offsets=offsets))
        if may_fail:
            lost = after._replace(faults=state.faults + 1)
            yield Step("fault", f"{name}'s acknowledgement is lost", lost)

    def _group(self, state: State, number: int, name: str, may_fail: bool) -> Iterator[Step]:
        consumer, (_, second) = state.consumers[number], state.consumers
        taken_away = second.positions if consumer.zombie else (None, None)
        kept = tuple(
            position if away is None else None for position, away in zip(consumer.positions, taken_away, strict=True)
        )
        restarted = tuple(
            None if position is None else offset for position, offset in zip(kept, state.offsets, strict=True)
        )
        if may_fail and (consumer.batch or consumer.in_hand):
            yield Step("fault", f"{name} is killed", state.with_consumer(number, Consumer(restarted), faults=1))
            if consumer.at == TOGETHER and second == UNASSIGNED:
                yield from self._moves(state, consumer, name)
        if consumer.in_hand or (consumer.batch and consumer.at not in (WAITS, len(consumer.batch))):
            return
        if consumer.zombie:
            knows = consumer._replace(zombie=False)
            if consumer.at != WAITS:
                knows = knows._replace(batch=None, at=TOGETHER)
            for positions, how in {restarted: "begins at the offsets", kept: "keeps its positions"}.items():
                after = state.with_consumer(number, knows._replace(positions=positions))
                yield Step("own", f"{name} learns what moved and {how}", after)
        elif may_fail and kept != restarted:
            after = state.with_consumer(number, consumer._replace(positions=restarted), faults=1)
            yield Step("fault", f"{name} joins again", after)

    def _moves(self, state: State, consumer: Consumer, name: str) -> Iterator[Step]:
        for moved, what in (((0,), "A moves"), ((1,), "B moves"), ((0, 1), "A and B move")):
            positions = tuple(offset if partition in moved else None for partition, offset in enumerate(state.offsets))
            after = state._replace(
                consumers=(consumer._replace(zombie=True), Consumer(positions)), faults=state.faults + 1
            )
            yield Step("fault", f"{name} is a zombie, {what} to consumer 2", after)

    def _operator(self, state: State) -> Iterator[Step]:
        if state.dead_letters:
            events = tuple(dict.fromkeys(map(state.event, state.dead_letters)))
            fresh = tuple(event for event in events if not state.inbox[event])
            after = state._replace(mended=True, dead_letters=()).with_effects(fresh)
            yield Step("chance", f"the handler is mended and {listed(events)} replayed", after)

    def complaint(self, state: State, *, at_rest: bool) -> str | None:
        """What may not be, now or when everything has been done."""
        buried = set(map(state.event, state.dead_letters))
        for event in (A1, A2, B1):
            if state.effects[event] > 1:
                return f"{NAMES[event]} has its effect twice"
            if at_rest and event in state.log[KEY[event]] and not state.effects[event] and event not in buried:
                return f"{NAMES[event]} is lost"
        if state.effects[A2] and not state.effects[A1]:
            return "A2 has its effect before A1"
        if len(set(state.dead_letters)) < len(state.dead_letters):
            return f"{listed(tuple(buried))} is buried twice"
        if good := buried - {state.bad}:
            return f"{listed(tuple(good))} is buried and was good"
        return None


def _moved(offsets: tuple[int, ...], positions: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(offset if position is None else position for offset, position in zip(offsets, positions, strict=True))
