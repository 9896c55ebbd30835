"""F13: the mail server misbehaves, for some recipients and for all."""

import zlib
from typing import get_args

from tests.faults.mail import Behaviour
from tests.faults.scene import Fault, Scene

BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
SHARE = 3
"""Behaviours are met by one recipient in so many."""


def behaviour_of(address: str) -> Behaviour | None:
    """The same for an address each time."""
    number = zlib.crc32(address.encode())
    return BEHAVIOURS[number // SHARE % len(BEHAVIOURS)] if number % SHARE == 0 else None


async def misbehave(scene: Scene) -> None:
    """Every kind of failure for a third of the recipients, then no server at all for a while."""
    mailbox = scene.system.mailbox
    before = len(mailbox.letters)
    mailbox.script = behaviour_of
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
