"""The Kafka cluster and how its clients show who they are: one value, which every client is made of."""

import ssl
import sys
from dataclasses import dataclass
from typing import Any, Literal, Self

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where a cluster is, `host:port,…`, and how it is talked to; without `security` in the clear, as nobody."""

    bootstrap_servers: str
    security: BaseSecurity | None = None

    @property
    def client(self) -> dict[str, Any]:
        """What each of aiokafka's clients has to be told."""
        return {"bootstrap_servers": self.bootstrap_servers, **parse_security(self.security)}


class ClusterSettings(BaseSettings):
    """What every process that talks to Kafka needs to know, named as Kafka's own settings are.

    Certificates are PEM files. The cluster's is checked against KAFKA_SSL_CA_FILE, without it against the authorities
    that the system trusts, and must be made out to the name that we connect to.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap_servers: str
    kafka_security_protocol: Protocol = "PLAINTEXT"
    kafka_sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    kafka_sasl_username: str = ""
    kafka_sasl_password: SecretStr = SecretStr("")
    kafka_ssl_ca_file: FilePath | None = None
    kafka_ssl_certificate_file: FilePath | None = None
    """Ours, where the cluster knows its clients by their certificates; with its chain."""
    kafka_ssl_key_file: FilePath | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster that these name."""
        encrypted = self.kafka_security_protocol.endswith("SSL")
        context = self._context() if encrypted else None
        if self.kafka_security_protocol.startswith("SASL"):
            password = self.kafka_sasl_password.get_secret_value()
            security = _SASL[self.kafka_sasl_mechanism](self.kafka_sasl_username, password, context)
        else:
            security = BaseSecurity(context)
        return Cluster(self.kafka_bootstrap_servers, security)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment, or end the process with one line for each wrong variable."""
        try:
            return cls()  # pyright: ignore[reportCallIssue] - the fields come from the environment
        except ValidationError as invalid:
            lines = [
                f"  {''.join(f'{name}: ' for name in error['loc']).upper()}{error['msg'].removeprefix('Value error, ')}"
                for error in invalid.errors()
            ]
            sys.exit("\n".join(["These settings are missing or wrong:", *lines]))

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.kafka_ssl_ca_file)
        if self.kafka_ssl_certificate_file:
            context.load_cert_chain(self.kafka_ssl_certificate_file, self.kafka_ssl_key_file)
        return context

    @model_validator(mode="after")
    def _protect_what_is_meant_to_be_protected(self) -> Self:
        protocol, sasl = self.kafka_security_protocol, self.kafka_security_protocol.startswith("SASL")
        user = {
            "KAFKA_SASL_USERNAME": self.kafka_sasl_username,
            "KAFKA_SASL_PASSWORD": self.kafka_sasl_password.get_secret_value(),
        }
        if sasl and not all(user.values()):
            raise ValueError(f"KAFKA_SECURITY_PROTOCOL {protocol} needs {' and '.join(user)}")
        for name in [name for name, value in user.items() if value and not sasl]:
            raise ValueError(f"{name} is for a KAFKA_SECURITY_PROTOCOL of SASL_SSL or SASL_PLAINTEXT")
        files = (self.kafka_ssl_ca_file, self.kafka_ssl_certificate_file, self.kafka_ssl_key_file)
        if any(files) and not protocol.endswith("SSL"):
            raise ValueError("KAFKA_SSL_… files are for a KAFKA_SECURITY_PROTOCOL of SSL or SASL_SSL")
        if self.kafka_ssl_key_file and not self.kafka_ssl_certificate_file:
            raise ValueError("KAFKA_SSL_KEY_FILE needs KAFKA_SSL_CERTIFICATE_FILE")
        try:
            _ = self.cluster
        except ssl.SSLError as unusable:
            raise ValueError(f"the KAFKA_SSL_… files hold no usable certificates and key: {unusable.reason}") from None
        return self
