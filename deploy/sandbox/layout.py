"""Where the sandbox's parts are: ports, addresses, kept secrets, and the environment each program is started with."""

import json
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "portal": "services.portal",
    "surveys": "services.surveys",
    "notifier": "services.notifier",
    "reports": "services.reports",
    "desk": "deploy.sandbox.desk",
}


class NotStarted(Exception):
    """Something cannot start; says what and what to do."""


class Layout:
    """The sandbox in `folder`. `environment` may name a broker, a database server and a first port.

    KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL (a superuser's) replace the embedded ones; SANDBOX_PORT is the port of the
    sandbox page (8000), the services have the next four and the mailbox's SMTP the fifth.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.given_kafka = environment.get("KAFKA_BOOTSTRAP_SERVERS")
        self.given_database = environment.get("DATABASE_URL")
        self._inherited = {key: value for key, value in environment.items() if key not in {"HOST", "PORT"}}
        first = int(environment.get("SANDBOX_PORT", "8000"))
        names = ("desk", "portal", "surveys", "notifier", "reports", "smtp")
        self._ports: dict[str, int] = {name: first + place for place, name in enumerate(names)}

    @property
    def keys_file(self) -> Path:
        """Where the reports' API keys of the demo's accounts are."""
        return self.folder / "reports-keys.json"

    @property
    def portal_key_file(self) -> Path:
        """Where the desk's key to the portal's attachments is."""
        return self.folder / "portal-key"

    def url(self, name: str) -> str:
        """A part's address."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def refuse_taken_ports(self) -> None:
        """Raise NotStarted when something else listens where we want to."""
        taken = [port for port in self._ports.values() if _is_taken(port)]
        if taken:
            raise NotStarted(
                f"In use: port {', '.join(map(str, taken))}. Stop what uses it, or take six others: SANDBOX_PORT=9000"
            )

    def environments(self, urls: Mapping[str, str], kafka: str) -> dict[str, dict[str, str]]:
        """Make what each program reads at its start, `urls` being its database."""
        kept = self._secrets()
        environments = {}
        for name in PROGRAMS:
            environments[name] = {
                **self._inherited,
                "DATABASE_URL": urls[name],
                "KAFKA_BOOTSTRAP_SERVERS": kafka,
                "PORT": str(self._ports[name]),
                "PUBLIC_URL": self.url(name),
                "SECRET_KEY": kept[name],
                "ATTACHMENTS_URL": (self.folder / "attachments").absolute().as_uri(),
                "SMTP_HOST": "127.0.0.1",
                "SMTP_PORT": str(self._ports["smtp"]),
                "MAIL_FROM": "support@closeloop.example",
                "REPORTS_URL": self.url("reports"),
                "REPORTS_KEYS_FILE": str(self.keys_file),
                "PORTAL_API_URL": self.url("portal"),
                "PORTAL_KEY_FILE": str(self.portal_key_file),
                "DATABASE_POOL_SIZE": "5",
                "PYTHONPATH": str(ROOT),
            }
            if not self.given_kafka:
                # The embedded broker keeps a place for a consumer that left until its session has run out.
                environments[name]["KAFKA_SESSION_TIMEOUT_MS"] = "2000"
        return environments

    def _secrets(self) -> dict[str, str]:
        """Read the keys that links are made with, or make them: links in emails must work after a restart."""
        file = self.folder / "secrets.json"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(json.dumps({name: secrets.token_urlsafe(32) for name in PROGRAMS}))
        return json.loads(file.read_text())


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
