"""How a program reaches an MQTT broker, as its configuration says; the same for eIM and IPA."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec

from keim.app.config import Count, Octets, host_and_port
from keim.crypto.secrets import Secret
from keim.errors import Refused
from keim.io.mqtt import MqttSettings, Version
from keim.io.pem import read_certificates
from keim.io.tls import client_context, tls_credential
from keim.pki import Role
from keim.wire.esipa_mqtt import MOST_OCTETS, PREFIX, Topics


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """docs/how-to/mqtt.md."""

    broker: str
    """HOST:PORT."""
    server_name: str = ""
    """In the broker's certificate, where it is not HOST."""
    tls: bool = True
    ca: str = ""
    """PEM file; empty: the system's CAs."""
    certificate: str = ""
    key: str = ""
    username: str = ""
    password_file: str = ""
    version: Version = "5"
    prefix: str = PREFIX
    client_id: str = ""
    keepalive_s: Count = 60
    limit: Octets = MOST_OCTETS
    """Octets of one message."""

    @property
    def topics(self) -> Topics:
        if not self.prefix or set("+#$") & set(self.prefix) or self.prefix.strip("/") != self.prefix:
            raise Refused(f"prefix {self.prefix!r} cannot begin a topic", code="config.invalid")
        return Topics(self.prefix)

    def settings(self, *, client_id: str, session_s: int = 0) -> MqttSettings:
        host, port = host_and_port(self.broker, "broker")
        return MqttSettings(
            host=host,
            port=port,
            client_id=self.client_id or client_id,
            version=self.version,
            tls=self._context() if self.tls else None,
            server_name=self.server_name,
            username=self.username,
            password=self._password(),
            keepalive_s=self.keepalive_s,
            session_s=session_s,
        )

    def _context(self) -> ssl.SSLContext:
        if bool(self.certificate) != bool(self.key):
            raise Refused("mqtt: certificate and key belong together", code="config.invalid")
        credential = None
        if self.certificate:
            credential = tls_credential(Path(self.certificate), Path(self.key), Role.EIM_TLS)
        roots = read_certificates(Path(self.ca)) if self.ca else None
        return client_context(roots, credential=credential, with_public_web=True)

    def _password(self) -> Secret | None:
        if not self.password_file:
            return None
        if not self.username:
            raise Refused("mqtt: a password needs a username", code="config.invalid")
        try:
            return Secret(Path(self.password_file).read_bytes().strip())
        except OSError as error:
            raise Refused(f"{self.password_file}: {error.strerror}", code="config.file_not_found") from None
