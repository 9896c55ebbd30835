"""What the command line needs to know of a service."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from litestar import Litestar
from sqlalchemy import MetaData

from shared.chassis.lifecycle import Service
from shared.chassis.settings import Settings

T = TypeVar("T")


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
            try:
                return await work(service)
            finally:
                await service.engine.dispose()

        return asyncio.run(run())
