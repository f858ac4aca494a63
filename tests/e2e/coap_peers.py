"""Foreign programs of CoAP and DTLS on loopback: their files, their start and their end."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from tests.unit.dtls.lab import make_certificate, new_key

from keim.io.coap import CoapNode
from keim.wire.coap.events import Association, Request, Response
from keim.wire.coap.settings import CoapSettings
from keim.wire.dtls.credentials import Credential, PreSharedKey, credential_of
from keim.wire.dtls.events import Up
from keim.wire.dtls.trust import Anchors

NAME = "eim.example.com"
PSK = PreSharedKey(b"device-7", b"laboratory")
LIMIT_S = 15.0


class Papers:
    """A root, a server and a device of this day, as objects and as files."""

    def __init__(self) -> None:
        start = datetime.now(UTC) - timedelta(days=1)
        root_key = new_key()
        self.root = make_certificate("peer root", root_key, None, is_authority=True, start=start)
        self.keys = {"server": new_key(), "device": new_key()}
        self.certificates = {
            who: make_certificate(
                NAME if who == "server" else "device.example.com", key, (self.root, root_key), start=start
            )
            for who, key in self.keys.items()
        }

    def credential(self, who: str, *, is_raw: bool = False) -> Credential:
        chain = [] if is_raw else [self.certificates[who].public_bytes(Encoding.DER)]
        return credential_of(self.keys[who], chain)

    @property
    def anchors(self) -> Anchors:
        return Anchors([self.root])

    def write(self, folder: Path) -> dict[str, str]:
        files = {"ca": self.root.public_bytes(Encoding.PEM)}
        for who, key in self.keys.items():
            private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            plain = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
            files |= {
                f"{who}.key": private,
                f"{who}.crt": self.certificates[who].public_bytes(Encoding.PEM),
                f"{who}.pub": public,
                f"{who}.pair": plain + public,
            }
        paths = {}
        for name, data in files.items():
            path = folder / f"{name}.pem"
            path.write_bytes(data)
            paths[name] = str(path)
        return paths


@cache
def papers() -> Papers:
    return Papers()


def free_port() -> int:
    """A UDP port that is free, and the one above it (libcoap serves coaps there)."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
        ):
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                two.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def digest(body: bytes) -> bytes:
    return hashlib.shake_128(body).digest(3000)


class Served(CoapNode):
    """Our server, which answers each POST with 3,000 octets made of its body, and remembers whom it met."""

    def __init__(self, lower: Any, settings: CoapSettings | None = None) -> None:
        self.ups: list[Up] = []
        self.requests: list[Request] = []
        super().__init__(
            lower, serve=self._answer, watch=self._see, settings=settings or CoapSettings(ack_timeout_s=0.5)
        )

    def _answer(self, request: Request, _association: Association) -> Response:
        self.requests.append(request)
        return Response(0x44, digest(request.body), 42)

    def _see(self, event: Any, _now: float) -> None:
        if isinstance(event, Up):
            self.ups.append(event)


async def run(*command: str, stdin: bytes = b"") -> tuple[int, str]:
    """Runs a program to its end; its output and errors together."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    try:
        output, _ = await asyncio.wait_for(process.communicate(stdin), LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, output.decode("utf-8", "replace")


class Program:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = b""

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    async def wait_for(self, text: bytes) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            while text not in self.output:
                piece = await self.process.stdout.read(4096)
                if not piece:
                    raise AssertionError(f"{text!r} never came: {self.output.decode('utf-8', 'replace')}")
                self.output += piece


@asynccontextmanager
async def program(*command: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
