"""Kafka goes away: requesters notice nothing, and everything is told when it is back."""

import pytest

from deploy.kafka.native import NativeKafka
from deploy.postgres.embedded import PostgresServer
from tests.journeys.case import Case, reply
from tests.product import HelpDesk, Product, link_in


async def test_pages_serve_and_take_replies_while_kafka_is_down_and_services_catch_up(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, broker: NativeKafka
) -> None:
    """A broker that is killed costs time, not replies; and a service may start while it is away."""
    product = Product(tmp_path_factory.mktemp("product"), postgres_server, broker.bootstrap_servers)
    case = Case()
    try:
        await product.start()
        desk = HelpDesk(broker.bootstrap_servers)
        await desk.start()
        await desk.publishes(case.account(), case.created(), case.answered(2, "pending"))
        await desk.stop()
        link = link_in(await product.email(case.requester.email, "A new pole"), "t")

        broker.kill()
        product.stop("portal")
        product.launch("portal")
        await product.is_ready("portal", "degraded")
        await reply(product, link, "Written while nobody could hear it")
        page = (await product.http.get(link)).text
        assert "Written while nobody could hear it" in page
        assert not product.emails_to(case.assignee.email)

        broker.start()
        await product.email(case.assignee.email, "Written while nobody could hear it")
        await product.email(case.watcher.email, "Written while nobody could hear it")
        await product.is_ready("portal")
    finally:
        await product.close()
