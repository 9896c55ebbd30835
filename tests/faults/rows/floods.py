"""F15 and F17: everything again, from the beginning, and very much at once."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from deploy.kafka import topics
from shared.contracts import AccountUpdated
from tests.builders import an_account
from tests.faults.evidence import fingerprint
from tests.faults.gauges import come_to_rest
from tests.faults.log import GROUPS
from tests.faults.scene import Fault, Scene
from tests.product import SERVICES

BACKLOG_ACCOUNT = "f17-backlog"


async def flood(scene: Scene) -> None:
    """Every record of every topic is sent again; then all offsets go back to 0; then they are deleted."""
    scene.victims = set()  # nothing new happens meanwhile
    await scene.workload.stop()
    await _rest(scene)
    for deed in (rewind,) if scene.pace.short else (send_everything_again, rewind, forget_offsets):
        before = await fingerprint(scene.system)
        begun = time.monotonic()
        await scene.did(deed.__name__)
        await deed(scene)
        await _rest(scene)
        scene.figures[f"{deed.__name__} s"] = round(time.monotonic() - begun, 1)
        after = await fingerprint(scene.system)
        changed = [service for service in SERVICES if before[service] != after[service]]
        scene.demand(not changed, "O3", f"{deed.__name__} changed the state of {changed}")


async def send_everything_again(scene: Scene) -> None:
    """Read each topic from offset 0 and produce every record again, headers and all."""
    servers = scene.system.kafka
    partitions = [TopicPartition(topic.name, number) for topic in topics.load() for number in range(topic.partitions)]
    async with (
        AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest") as reader,
        AIOKafkaProducer(bootstrap_servers=servers, acks="all", max_batch_size=256 * 1024, linger_ms=5) as producer,
    ):
        reader.assign(partitions)
        ends = {place: end for place, end in (await reader.end_offsets(partitions)).items() if end}
        while ends:
            for place, records in (await reader.getmany(timeout_ms=500, max_records=2000)).items():
                for record in records:
                    if place in ends and record.offset < ends[place]:
                        await producer.send(
                            record.topic,
                            record.value,
                            key=record.key,
                            partition=record.partition,
                            headers=list(record.headers),
                        )
                        scene.figures["sent again"] = scene.figures.get("sent again", 0) + 1
            positions = {place: await reader.position(place) for place in ends}
            ends = {place: end for place, end in ends.items() if positions[place] < end}
        await producer.flush()


async def rewind(scene: Scene) -> None:
    """Put every group's offsets to 0, which only groups without members allow."""

    def to_the_beginning(admin: AdminClient) -> None:
        counts = {topic.name: topic.partitions for topic in topics.load()}
        for topic, group in GROUPS:
            places = [Place(topic, number, 0) for number in range(counts[topic])]
            for done in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values():
                done.result()

    await _while_stopped(scene, to_the_beginning)


async def forget_offsets(scene: Scene) -> None:
    """Delete every group."""

    def delete(admin: AdminClient) -> None:
        for done in admin.delete_consumer_groups([group for _, group in GROUPS]).values():
            done.result()

    await _while_stopped(scene, delete)


async def _while_stopped(scene: Scene, work: Callable[[AdminClient], None]) -> None:
    system = scene.system
    with contextlib.ExitStack() as absences:
        for name in SERVICES:
            absences.enter_context(system.absent(name, "process"))
        await asyncio.gather(*map(system.take_down, SERVICES))
        await asyncio.to_thread(work, AdminClient({"bootstrap.servers": system.kafka}))
        for name in SERVICES:
            system.launch(name)
        await asyncio.gather(*map(system.is_live, SERVICES))


async def _rest(scene: Scene) -> None:
    seconds, left = await come_to_rest(scene.system, scene.log, scene.pace.patience)
    scene.demand(not left, "O9", f"not at rest after {seconds:.0f} s: {left}")


_BACKLOG = """
INSERT INTO outbox (topic, key, payload)
SELECT 'survey.created', $1 || '/t' || n % 200, convert_to(json_build_object(
    'account_id', $1::text,
    'survey', json_build_object(
        'survey_id', 'backlog-' || n, 'ticket_id', 't' || n % 200, 'resolved_version', n, 'subject', 'Much at once',
        'requester_name', 'Rita', 'priority', 'normal', 'channel', 'email',
        'created_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'expires_at', to_char(now() AT TIME ZONE 'UTC' + interval '14 days', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'agent', json_build_object('agent_id', 'agent-' || n % 6, 'name', 'Agent', 'email', 'a@desk.example')
    ))::text, 'UTF8')
FROM generate_series(1, $2::int) n
"""


async def backlog(scene: Scene) -> None:
    """Many events in one outbox, while their reader is away; then the reader comes back, far behind."""
    scene.victims = {"reports"}
    count = scene.pace.backlog
    account: AccountUpdated = an_account(account_id=BACKLOG_ACCOUNT)
    await scene.helpdesk.publishes(account)
    await scene.workload.stop()
    system = scene.system
    with system.absent("reports", "process"):
        await system.take_down("reports")
        async with system.admin("surveys") as surveys:
            begun = time.monotonic()
            await surveys.execute(_BACKLOG, BACKLOG_ACCOUNT, count, timeout=120)
            await scene.did("a backlog", events=count)
            while await surveys.fetchval("SELECT true FROM outbox WHERE key LIKE $1 LIMIT 1", f"{BACKLOG_ACCOUNT}/%"):
                await asyncio.sleep(0.1)
        scene.figures["relayed/s"] = round(count / (time.monotonic() - begun))
        system.launch("reports")
        await system.is_live("reports")
    begun = time.monotonic()
    async with system.admin("reports") as reports:
        query = "SELECT count(*) FROM ratings WHERE account_id = $1"
        taken, give_up_at = 0, begun + 4 * scene.pace.patience
        while taken < count and time.monotonic() < give_up_at:
            await asyncio.sleep(0.2)
            taken = await reports.fetchval(query, BACKLOG_ACCOUNT)
    scene.figures["taken/s"] = round(taken / (time.monotonic() - begun))
    scene.demand(taken == count, "O1", f"{taken} of {count} events of the backlog had their effect")
    scene.workload.start(scene.pace.rate)


FLOODS: list[Fault] = [
    Fault("F15", "whole topics again, offsets to 0, offsets deleted", flood),
    Fault("F17", "a backlog of 50,000 events", backlog),
]
