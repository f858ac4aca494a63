"""A Mosquitto of the tests' own: TLS with client certificates or passwords, the access list of the docs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.shared import ROOT
from tests.unit.dtls.lab import make_certificate, new_key

NAME = "broker.example.com"
EIM_USER = "eim"
PASSWORD = "laboratory"


def documented(language: str) -> str:
    """The one block of this language on the page about MQTT."""
    page = (ROOT / "docs/how-to/mqtt.md").read_text("utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return str(found)


class Broker:
    """`is_mutual`: clients show certificates; else they have user names and one password.
    `prefix` stands before the program's name (`ip netns exec NAME`)."""

    def __init__(
        self,
        folder: Path,
        *,
        is_mutual: bool = True,
        users: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.host, self._prefix = host, prefix
        self.folder = folder
        self.is_mutual = is_mutual
        self._start = datetime.now(UTC) - timedelta(days=1)
        self._root_key = new_key()
        self._root = make_certificate(
            "broker root", self._root_key, None, is_authority=True, start=self._start
        )
        self.ca = folder / "broker-ca.pem"
        self.ca.write_bytes(self._root.public_bytes(Encoding.PEM))
        self.port = free_port()
        certificate, key = self.papers(NAME)
        acl = folder / "esipa.acl"
        acl.write_text(documented("acl"), "utf-8")
        acl.chmod(0o644)
        settings = {
            "listener": f"{self.port} {host}",
            "cafile": str(self.ca),
            "certfile": str(certificate),
            "keyfile": str(key),
            "acl_file": str(acl),
            "allow_anonymous": "false",
            "set_tcp_nodelay": "true",
            "message_size_limit": "262144",
            "persistence": "true",
            "persistence_location": f"{folder}/",
            "user": "root",
        }
        if is_mutual:
            settings |= {"require_certificate": "true", "use_identity_as_username": "true"}
        else:
            settings["password_file"] = str(self._passwords((EIM_USER, *users)))
        lines = "\n".join(f"{name} {value}" for name, value in settings.items())
        self._conf = folder / "mosquitto.conf"
        self._conf.write_text(f"{lines}\n", "utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _passwords(self, users: tuple[str, ...]) -> Path:
        path = self.folder / "passwords"
        path.write_text("".join(f"{user}:{PASSWORD}\n" for user in users), "utf-8")
        subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True, capture_output=True)
        return path

    def papers(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a client or of the broker, as files."""
        key = new_key()
        issued = make_certificate(name, key, (self._root, self._root_key), start=self._start)
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(issued.public_bytes(Encoding.PEM))
        private.touch(0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, private

    def config(self, user: str, **more: Any) -> dict[str, Any]:
        """The keys of `[mqtt]` for one client."""
        found: dict[str, Any] = {
            "broker": f"{self.host}:{self.port}",
            "server_name": NAME,
            "ca": str(self.ca),
        }
        if self.is_mutual:
            certificate, key = self.papers(user)
            found |= {"certificate": str(certificate), "key": str(key)}
        else:
            password = self.folder / "password"
            password.write_text(f"{PASSWORD}\n", "utf-8")
            found |= {"username": user, "password_file": str(password)}
        return found | more

    def start(self) -> None:
        path = self.folder / "mosquitto.log"
        written = path.stat().st_size if path.exists() else 0
        with path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, "/usr/sbin/mosquitto", "-c", str(self._conf)], stdout=log, stderr=log
            )
        until(lambda: b" running" in path.read_bytes()[written:])

    def kill(self) -> None:
        """As in a power failure."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)


def toml_of(table: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def until(is_so: Callable[[], object], seconds: float = 15.0) -> None:
    """Waits for what another process or thread brings about."""
    import threading
    import time

    end = time.monotonic() + seconds
    pause = threading.Event()
    while not is_so():
        assert time.monotonic() < end, "it did not come about"
        pause.wait(0.02)
