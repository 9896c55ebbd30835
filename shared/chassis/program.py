"""What the command line needs to know of a service."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from litestar import Litestar
from sqlalchemy import MetaData

from shared.chassis.lifecycle import Service
from shared.chassis.settings import Settings

T = TypeVar("T")

OBJECTS_BEFORE_A_LOOK = 100_000


def look_for_garbage_seldom() -> None:
    """Have Python look for cycles of garbage less often than after every 700 new objects, its default.

    A batch of events makes some ten thousand objects and drops them, all without a cycle: looking took a third of the
    time. What is there when this is called is taken for what stays, and not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BEFORE_A_LOOK, 10, 10)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A service, for its commands."""

    name: str
    settings: type[Settings]
    create_service: Callable[..., Service]
    create_app: Callable[[Service], Litestar]
    metadata: MetaData
    versions: Path

    def run(self, work: Callable[[Service], Awaitable[T]]) -> T:
        """Do a command's work with the service of the environment, which neither consumes nor publishes meanwhile."""

        async def run() -> T:
            # What adds up all ratings of an account may take minutes, and an operator can wait, or press Ctrl-C.
            settings = self.settings.from_environment().model_copy(update={"statement_seconds": None})
            service = self.create_service(settings)
            look_for_garbage_seldom()
            try:
                return await work(service)
            finally:
                await service.disconnect()

        return asyncio.run(run())
