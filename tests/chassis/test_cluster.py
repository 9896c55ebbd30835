"""A cluster that lets in only whom it knows, over connections that nobody can read: real Kafka with TLS and SASL."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme
from aiokafka import AIOKafkaProducer
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.kafka.native import NativeKafka, Security
from deploy.kafka.topics import provision
from shared.chassis.cluster import ClusterSettings
from shared.chassis.lag import LagMeter
from shared.chassis.lifecycle import Service
from shared.chassis.settings import Settings
from tests.builders import a_ticket, a_ticket_updated, an_account
from tests.chassis.counting import Heard, events
from tests.stage import Stage, StoppedClock, delivery_of

PASSWORD = "correct-horse-battery-staple"


class SecuredKafka:
    """A broker that demands TLS and a certificate or a password, and what its clients need."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        self.authority, self.stranger = folder / "authority.pem", folder / "stranger.pem"
        authority.cert_pem.write_to_path(self.authority)
        stranger.cert_pem.write_to_path(self.stranger)
        self.certificate, self.key = folder / "client.pem", folder / "client.key"
        client = authority.issue_cert("closeloop")
        client.cert_chain_pems[0].write_to_path(self.certificate)
        client.private_key_pem.write_to_path(self.key)
        identity = folder / "broker.pem"
        identity.write_bytes(_identity(authority.issue_cert("localhost")))
        security = Security(identity=identity, authority=self.authority, user="closeloop", password=PASSWORD)
        self.broker = NativeKafka(folder / "kafka", security=security)

    def ways(self, name: str) -> dict[str, Any]:
        """Settings with which one gets in."""
        if name == "certificate":
            return {
                "kafka_bootstrap_servers": self.broker.secured["SSL"],
                "kafka_security_protocol": "SSL",
                "kafka_ssl_ca_file": self.authority,
                "kafka_ssl_certificate_file": self.certificate,
                "kafka_ssl_key_file": self.key,
            }
        return {
            "kafka_bootstrap_servers": self.broker.secured["SASL_SSL"],
            "kafka_security_protocol": "SASL_SSL",
            "kafka_ssl_ca_file": self.authority,
            "kafka_sasl_mechanism": name,
            "kafka_sasl_username": "closeloop",
            "kafka_sasl_password": PASSWORD,
        }


def _identity(certificate: trustme.LeafCert) -> bytes:
    """Key and certificate in the one form that Kafka reads: PKCS #8."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[SecuredKafka]:
    """One for all tests here. `kafka` is asked for so that CI fails, not skips, where there can be none."""
    made = SecuredKafka(tmp_path_factory.mktemp("secured"))
    made.broker.start()
    yield made
    made.broker.stop()


@pytest.mark.parametrize("way", ["certificate", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_service_hears_and_says_on_a_secured_cluster(counting: Stage, secured: SecuredKafka, way: str) -> None:
    """Every client we have gets in: the one that makes topics, the consumers, the relay and the meter of lag."""
    settings = Settings(
        database_url=counting.service.settings.database_url, kafka_session_timeout_ms=6000, **secured.ways(way)
    )
    await provision(settings.cluster)
    service = Service(name=f"counting-{uuid4()}", settings=settings, events=events, clock=StoppedClock())
    ticket = a_ticket(subject=f"over {way}")

    async with service.running(None), LagMeter(settings.cluster, service=service.name, topics=["ticket.updated"]):
        async with AIOKafkaProducer(**settings.cluster.client) as producer:
            for event in (an_account(), a_ticket_updated(ticket=ticket)):
                told = delivery_of(event)
                await producer.send_and_wait(told.topic, told.value, key=told.key, headers=list(told.headers))
        # The handler of the update says that the ticket is resolved: the relay takes that to Kafka, and back it comes.
        async with asyncio.timeout(30):
            while ("ticket.resolved", ticket.subject) not in {(h.topic, h.what) for h in await counting.rows(Heard)}:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kafka_sasl_password": "guessed"},
        {"kafka_sasl_username": "somebody"},
        {"kafka_ssl_ca_file": "stranger"},
        {"kafka_bootstrap_servers": "127.0.0.1"},
    ],
    ids=["password", "user", "authority", "name"],
)
async def test_whom_the_cluster_or_we_do_not_know_gets_nothing(
    counting: Stage, secured: SecuredKafka, wrong: dict[str, Any]
) -> None:
    """The service serves its pages and says that Kafka does not answer: a password is never sent to a stranger."""
    ways = secured.ways("SCRAM-SHA-512") | wrong
    if "kafka_ssl_ca_file" in wrong:
        ways["kafka_ssl_ca_file"] = secured.stranger
    if "kafka_bootstrap_servers" in wrong:  # which its certificate is not made out to
        ways["kafka_bootstrap_servers"] = secured.broker.secured["SASL_SSL"].replace("localhost", "127.0.0.1")
    settings = Settings(database_url=counting.service.settings.database_url, **ways)

    with pytest.raises(Exception, match=r"(?i)authentication|certificate|bootstrap|connect") as refused:
        async with LagMeter(settings.cluster, service="counting", topics=["ticket.updated"]):
            pass
    assert PASSWORD not in str(refused.value)

    service = Service(name="counting", settings=settings, events=events, clock=StoppedClock())
    async with service.running(None):
        await asyncio.sleep(1)
        assert not await service.kafka_answers()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "closeloop"},
            "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
        ),
        ({"kafka_sasl_username": "closeloop"}, "KAFKA_SASL_USERNAME is for"),
        ({"kafka_sasl_password": "hunter2"}, "KAFKA_SASL_PASSWORD is for"),
        ({"kafka_ssl_ca_file": __file__}, "KAFKA_SSL_… files are for"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_ca_file": __file__}, "no usable certificates"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_ca_file": "/nowhere.pem"}, "KAFKA_SSL_CA_FILE: Path does not"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_key_file": __file__}, "needs KAFKA_SSL_CERTIFICATE_FILE"),
        ({"kafka_security_protocol": "TLS"}, "KAFKA_SECURITY_PROTOCOL: Input should be 'PLAINTEXT', 'SSL'"),
    ],
)
def test_settings_that_protect_nothing_end_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], told: str
) -> None:
    """Who names a password or a certificate wants it used: it is not left out without a word."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    for name, value in settings.items():
        monkeypatch.setenv(name.upper(), value)

    with pytest.raises(SystemExit) as ended:
        ClusterSettings.from_environment()

    assert told in str(ended.value)
    assert "hunter2" not in str(ended.value)
