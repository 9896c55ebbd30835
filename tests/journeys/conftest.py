"""The product, running."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.kafka.native import NativeKafka
from deploy.kafka.topics import provision
from deploy.postgres.embedded import PostgresServer
from shared.chassis.cluster import Cluster
from tests.product import HelpDesk, Product


@pytest_asyncio.fixture(scope="session")
async def product(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, kafka: str
) -> AsyncIterator[Product]:
    """All four services on real Kafka, started once. Each journey has an account of its own."""
    running = Product(tmp_path_factory.mktemp("product"), postgres_server, kafka)
    await running.start()
    try:
        yield running
    finally:
        await running.close()


@pytest_asyncio.fixture(scope="session")
async def help_desk(kafka: str) -> AsyncIterator[HelpDesk]:
    """The platform around closeloop."""
    desk = HelpDesk(kafka)
    await desk.start()
    try:
        yield desk
    finally:
        await desk.stop()


@pytest_asyncio.fixture
async def broker(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> AsyncIterator[NativeKafka]:
    """A broker without history, which may be killed.

    `kafka` is asked for so that CI fails, not skips, where there can be none.
    """
    own = NativeKafka(tmp_path_factory.mktemp("outage"))
    own.start()
    await provision(Cluster(own.bootstrap_servers))
    try:
        yield own
    finally:
        own.stop()
