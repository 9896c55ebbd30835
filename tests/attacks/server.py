"""A service behind a real server, on the stage's database and in the tests' loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from deploy.server_process import free_port
from tests.stage import Stage


@asynccontextmanager
async def serving(stage: Stage) -> AsyncIterator[int]:
    """The stage's app behind a real server, as it is run; tell the port."""
    port = free_port()
    # Without the app's own start: its consumers and relay have no part in this.
    config = uvicorn.Config(stage.app, port=port, log_config=None, lifespan="off", forwarded_allow_ips="")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())  # `serve` would take the tests' signal handlers
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = server.force_exit = True
        await running
