"""F1 to F4: a service is killed three times at random moments."""

from functools import partial

from tests.faults.scene import Fault, Scene
from tests.product import SERVICES

LANES = 4
"""Emails that the notifier may have in hand when it is killed."""


async def nothing(scene: Scene) -> None:
    """No fault: what the oracles say of a product that nobody disturbs."""
    await scene.lasting(10)


async def kill(service: str, scene: Scene) -> None:
    """SIGKILL; the supervisor brings it back."""
    scene.victims = {service}
    for _ in range(1 if scene.pace.short else 3):
        await scene.under_load(scene.rng.uniform(0.3, 2.0))
        await scene.did("kill", service=service)
        scene.system.kill(service)
        if service == "notifier":
            scene.allowed_repeats += LANES
        await scene.under_load(0.2)
        await scene.system.all_present()


NO_FAULT = Fault("F0", "no fault", nothing)
KILLS = [
    NO_FAULT,
    *(Fault(f"F{number}", f"kill -9 {name} x3", partial(kill, name)) for number, name in enumerate(SERVICES, start=1)),
]
