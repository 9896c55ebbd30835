"""The real database and broker that tests use: named in the environment, else in Docker, else from wheels.

All of it is synchronous and runs no event loop in the caller's thread: it works inside and outside of one.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from deploy.browser import chromium
from deploy.kafka.jars import kafka_version
from deploy.kafka.native import NativeKafka, answers
from deploy.kafka.topics import provision
from deploy.postgres.embedded import EmbeddedPostgres, PostgresServer
from deploy.server_process import free_port
from shared.chassis.cluster import Cluster

POSTGRES_IMAGE = "postgres:18"
PULL_SECONDS = 90


class PartMissingError(Exception):
    """This machine cannot have the part; the message says why. A part that is broken raises something else."""


@contextmanager
def running_postgres(folder: Path) -> Iterator[PostgresServer]:
    """Give the server of DATABASE_URL, a superuser's, else one in Docker, else one from the wheel."""
    if url := os.environ.get("DATABASE_URL"):
        yield PostgresServer(url)
    elif docker_has(POSTGRES_IMAGE):
        with PostgresContainer(POSTGRES_IMAGE, driver=None) as container:
            yield PostgresServer(container.get_connection_url())
    else:
        server = EmbeddedPostgres(folder, durable=False)
        try:
            server.start()
            yield server
        finally:
            server.destroy()


@contextmanager
def running_kafka(folder: Path) -> Iterator[str]:
    """Give the servers of KAFKA_BOOTSTRAP_SERVERS, else of a broker in Docker, else of a NativeKafka.

    It has the topics of deploy/topics.yaml. Raises PartMissingError when no broker can be had.
    """
    image = f"apache/kafka:{kafka_version()}"
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield _with_topics(given)
    elif docker_has(image):
        port = free_port()  # a broker must know the address that clients reach it by before it starts
        with kafka_container(image, port):
            yield _with_topics(f"127.0.0.1:{port}")
    else:
        try:
            broker = NativeKafka(folder)
        except RuntimeError as reason:
            raise PartMissingError(str(reason)) from reason
        try:
            broker.start()
            yield _with_topics(broker.bootstrap_servers)
        finally:
            broker.stop()


@contextmanager
def kafka_container(image: str, port: int) -> Iterator[None]:
    """Run a broker in Docker that clients reach as 127.0.0.1:`port`."""
    container = (
        DockerContainer(image)
        .with_bind_ports(9092, port)
        .with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_LISTENERS="PLAINTEXT://:9092,CONTROLLER://:9093",
            KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://127.0.0.1:{port}",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
        )
    )
    with container:
        give_up_at = time.monotonic() + 60
        while not answers(port):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{image} does not answer on port {port}")
            time.sleep(0.1)
        yield


def installed_chromium() -> Path:
    """Find the browser. Raises PartMissingError."""
    try:
        return chromium()
    except RuntimeError as reason:
        raise PartMissingError(str(reason)) from reason


def docker_has(image: str) -> bool:
    """Whether Docker can run an image: a daemon may answer and yet have no image and no way to get one."""
    if shutil.which("docker") is None:
        return False
    commands = (["docker", "info"], 10), (["docker", "image", "inspect", image], 10)
    try:
        daemon, present = (_succeeds(command, seconds) for command, seconds in commands)
        return daemon and (present or _succeeds(["docker", "pull", "--quiet", image], PULL_SECONDS))
    except subprocess.TimeoutExpired:
        return False


def _succeeds(command: list[str], seconds: float) -> bool:
    return subprocess.run(command, capture_output=True, timeout=seconds, check=False).returncode == 0


def _with_topics(bootstrap_servers: str) -> str:
    with ThreadPoolExecutor(max_workers=1) as thread:
        outcome = thread.submit(asyncio.run, provision(Cluster(bootstrap_servers))).result()
    if outcome.mismatches:
        raise RuntimeError("; ".join(outcome.mismatches))
    return bootstrap_servers
