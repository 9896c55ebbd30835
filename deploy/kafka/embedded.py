"""A Kafka broker inside this process: the one librdkafka, in the wheel `confluent-kafka`, has for its tests.

For trying closeloop on one machine. It keeps records in memory, the last 5 MiB of each partition, forgets
them at exit, and serves one consumer per group. Tests of Kafka's behaviour use a real broker: see native.py.
"""

import ctypes
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import util
from pathlib import Path

REBALANCE_DELAY_MS = 100
_PRODUCER = 0  # rd_kafka_type_t


class EmbeddedBroker:
    """One broker on 127.0.0.1 with `topics` (name: number of partitions).

    It makes any other topic it is asked for, with four partitions, and has no requests for managing topics.
    The port is a free one at each start; librdkafka lets nobody choose.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = dict(topics)
        self._library = _librdkafka()
        self._owner: int | None = None
        self._cluster: int | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:port`. Raises RuntimeError when the broker is not running."""
        if self._cluster is None:
            raise RuntimeError("the embedded broker is not running")
        return self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def start(self) -> None:
        """Start with empty topics. Raises RuntimeError."""
        if self._cluster is not None:
            return
        library = self._library
        # Without this the client that owns the broker complains on standard error that it knows no broker.
        configuration = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set_log_cb(configuration, None)
        reason = ctypes.create_string_buffer(512)
        self._owner = library.rd_kafka_new(_PRODUCER, configuration, reason, len(reason))
        if self._owner is None:
            raise RuntimeError(f"librdkafka does not start: {reason.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._owner, 1)
        if self._cluster is None:
            self.stop()
            raise RuntimeError("librdkafka's broker does not start")
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, REBALANCE_DELAY_MS)
        # All at once: the broker's thread was seen to notice a request only at its next second, now and then.
        with ThreadPoolExecutor(max(len(self._topics), 1)) as together:
            refused = [topic for topic, failed in together.map(self._create, self._topics.items()) if failed]
        if refused:
            self.stop()
            raise RuntimeError(f"librdkafka's broker refuses the topics {', '.join(refused)}")

    def _create(self, topic: tuple[str, int]) -> tuple[str, int]:
        name, partitions = topic
        return name, self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)

    def stop(self) -> None:
        """End, and forget every record. May be repeated."""
        if self._cluster is not None:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._cluster = None
        if self._owner is not None:
            self._library.rd_kafka_destroy(self._owner)
            self._owner = None


def _librdkafka() -> ctypes.CDLL:
    """Load the library inside the installed wheel, with the signatures of what is called here."""
    spec = util.find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise RuntimeError("confluent-kafka is not installed")
    package = Path(spec.origin).parent
    # Where the tools that pack wheels put it on Linux and Windows, and on macOS.
    places = (package.with_name("confluent_kafka.libs"), package / ".dylibs")
    found = next((library for place in places for library in place.glob("librdkafka*")), None)
    if found is None:
        raise RuntimeError(f"no librdkafka beside {package}")
    import confluent_kafka  # noqa: F401, PLC0415 - on Windows this makes the library's own dependencies findable

    library = ctypes.CDLL(str(found))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, *arguments in (
        ("rd_kafka_conf_new", pointer),
        ("rd_kafka_conf_set_log_cb", None, pointer, pointer),
        ("rd_kafka_new", pointer, number, pointer, text, ctypes.c_size_t),
        ("rd_kafka_destroy", None, pointer),
        ("rd_kafka_mock_cluster_new", pointer, pointer, number),
        ("rd_kafka_mock_cluster_destroy", None, pointer),
        ("rd_kafka_mock_cluster_bootstraps", text, pointer),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32),
        ("rd_kafka_mock_topic_create", number, pointer, text, number, number),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
