"""`status`: how a service is doing, for an operator at a terminal. The same figures for machines are on /metrics."""

from collections.abc import Mapping

import click
from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import func, select

from shared.chassis.dead_letters import count_letters
from shared.chassis.lag import LagMeter, Place
from shared.chassis.lifecycle import Service
from shared.chassis.outbox import OutboxMessage, oldest_age_seconds
from shared.chassis.program import Program


def status_command(program: Program) -> click.Command:
    """Make the command."""

    @click.command()
    def status() -> None:
        """Show how far behind each consumer is, what waits to be published, what died, and what troubles there are.

        Asks Kafka and the database themselves; the service need not run. Exit code 1 when Kafka does not answer.
        """

        async def show(service: Service) -> bool:
            async with service.sessions() as session:
                waiting = await session.scalar(select(func.count()).select_from(OutboxMessage)) or 0
                oldest = await oldest_age_seconds(session)
                letters = await count_letters(session)
                troubles = [await check(session, service.clock()) for check in service.checks]
            topics = list(service.consumers.by_topic)
            try:
                async with LagMeter(service.settings.cluster, service=service.name, topics=topics) as meter:
                    places = await meter.measure()
            except Exception as failure:  # noqa: BLE001 - whatever it is, it is told
                places = None
                click.echo(f"Kafka does not answer: {type(failure).__name__}", err=True)
            table = Table("topic", "records", "taken", "behind", "dead", "waiting")
            for topic in topics:
                numbers = [*_lag(topic, places), letters[topic, "dead"], letters[topic, "waiting"]]
                table.add_row(topic, *("?" if number is None else f"{number:,}" for number in numbers))
            for column in table.columns[1:]:
                column.justify = "right"
            console = Console()
            console.print(table)
            age = f", the oldest for {oldest:,.0f} s" if waiting else ""
            console.print(f"{waiting:,} events wait to be published{age}")
            for trouble in filter(None, troubles):
                console.print(Text(trouble))
            return places is not None

        raise SystemExit(0 if program.run(show) else 1)

    return status


def _lag(topic: str, places: Mapping[TopicPartition, Place] | None) -> list[int | None]:
    if places is None:
        return [None, None, None]
    of_topic = [place for partition, place in places.items() if partition.topic == topic]
    return [sum(getattr(place, figure) for place in of_topic) for figure in ("end", "taken", "behind")]
