"""F13: the mail server misbehaves, for some recipients and for all."""

import itertools
from collections.abc import Callable
from typing import get_args

from tests.faults.mail import Behaviour
from tests.faults.scene import Fault, Scene

BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)


def in_turn() -> Callable[[str], Behaviour | None]:
    """Meet every other recipient with the next behaviour, and each with theirs again."""
    turns = itertools.cycle(turn for behaviour in BEHAVIOURS for turn in (None, behaviour))
    met: dict[str, Behaviour | None] = {}
    return lambda address: met[address] if address in met else met.setdefault(address, next(turns))


async def misbehave(scene: Scene) -> None:
    """Every kind of failure for half of the recipients, then no server at all for a while."""
    mailbox = scene.system.mailbox
    before = len(mailbox.letters)
    mailbox.script = in_turn()
    await scene.did("SMTP misbehaves")
    await scene.lasting(12)
    others = len(mailbox.letters) - before
    scene.demand(others > 10, "O9", f"{others} emails went out beside those that were refused")
    mailbox.script = lambda _: None
    await scene.did("SMTP refuses connections")
    await mailbox.close()
    await scene.lasting(6)
    await mailbox.open()
    met = mailbox.met
    scene.undeliverable = {address for behaviour, address in met if behaviour in {"550", "552"}}
    # The server took these and the notifier could not hear it.
    scene.allowed_repeats = sum(behaviour in {"cut after 250", "slow"} for behaviour, _ in met)
    scene.figures["SMTP"] = {name: sum(behaviour == name for behaviour, _ in met) for name in BEHAVIOURS}
    healed = len(mailbox.letters)
    scene.progress = lambda: len(mailbox.letters) > healed
    mailbox.met = []


SMTP = [Fault("F13", "SMTP refused, 4xx, 5xx, hanging, cut, slow", misbehave)]
