"""One trace from a requester's POST to the mail server's answer, and nothing in it that is nobody's business."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.kafka.native import NativeKafka
from deploy.postgres.embedded import PostgresServer
from tests.journeys.case import Case, rate, reply
from tests.product import HelpDesk, Product, link_in, until
from tests.traces import Collector, Seen, a_collector


@pytest_asyncio.fixture
async def traced(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    broker: NativeKafka,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[tuple[Product, Collector]]:
    """All four services, with a collector to tell."""
    with a_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        product = Product(tmp_path_factory.mktemp("traced"), postgres_server, broker.bootstrap_servers)
        await product.start()
        try:
            yield product, collector
        finally:
            await product.close()


async def test_a_trace_goes_from_the_post_to_the_email(traced: tuple[Product, Collector]) -> None:
    """Through outbox, Kafka, another service and its queue; no token, address or text is in any of it."""
    product, collector = traced
    case = Case()
    help_desk = HelpDesk(product.kafka)
    await help_desk.start()
    await help_desk.publishes(case.account(), case.created(), case.answered(2, "pending"))
    link = link_in(await product.email(case.requester.email, "A new pole is on its way."), "t")
    await reply(product, link, "It broke again, on the glacier!")
    await product.email(case.assignee.email, "on the glacier")
    await help_desk.publishes(case.resolved(4))
    await help_desk.stop()
    survey = link_in(await product.email(case.requester.email, "/s/"), "s")
    await rate(product, survey, 1, "Cold night on the glacier")

    def ends(name: str) -> list[Seen]:
        return [span for span in collector.spans if span.name == name]

    def told(*path: str) -> bool:
        """Whether every service has told its part, each in its own time."""
        return any(collector.path_to(last) == list(path) for last in ends(path[-1].partition(": ")[2]))

    await until(
        lambda: told(
            "portal: POST /t/{token}",
            "portal: publish ticket.reopened",
            "notifier: process ticket.reopened",
            "notifier: send ticket_reopened",
        )
    )
    await until(
        lambda: told(
            "surveys: POST /s/{token}",
            "surveys: publish survey.submitted",
            "reports: process survey.submitted",
        )
    )
    # An event that came before its account waits for it, and says so; nothing else went wrong.
    assert {span.attributes["error.type"] for span in collector.spans if span.failed} <= {"Awaits"}
    secrets = (
        link.rpartition("/")[2],
        survey.rpartition("/")[2],
        "glacier",
        case.requester.email,
        case.requester.name,
        case.assignee.email,
    )
    assert not [secret for secret in secrets if secret.encode() in collector.raw]
