"""The hellos and their extensions (RFC 5246 §7.4.1, RFC 6347 §4.2.1). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from keim.wire.dtls.faults import malformed
from keim.wire.dtls.octets import Reader, numbers, vector
from keim.wire.dtls.records import VERSION

SERVER_NAME: Final = 0
MAX_FRAGMENT_LENGTH: Final = 1
SUPPORTED_GROUPS: Final = 10
POINT_FORMATS: Final = 11
SIGNATURE_ALGORITHMS: Final = 13
CLIENT_CERTIFICATE_TYPE: Final = 19
SERVER_CERTIFICATE_TYPE: Final = 20
EXTENDED_MASTER_SECRET: Final = 23
SESSION_TICKET: Final = 35
CONNECTION_ID: Final = 54
RENEGOTIATION_INFO: Final = 0xFF01

EMPTY_RENEGOTIATION_INFO: Final = 0x00FF
"""The suite number that stands for the extension in an offer."""

X509: Final = 0
RAW_KEY: Final = 2
SESSION_ID_OCTETS: Final = 32
"""At most."""
FRAGMENT_OCTETS: Final = {1: 512, 2: 1024, 3: 2048, 4: 4096}

Extensions = Mapping[int, bytes]


class ClientHello(msgspec.Struct, frozen=True, kw_only=True):
    version: bytes = VERSION
    random: bytes
    session_id: bytes = b""
    cookie: bytes = b""
    suites: tuple[int, ...]
    compressions: bytes = b"\0"
    extensions: Extensions

    def encode(self) -> bytes:
        suites = b"".join(number.to_bytes(2, "big") for number in self.suites)
        return b"".join(
            (
                self.version,
                self.random,
                vector(1, self.session_id),
                vector(1, self.cookie),
                vector(2, suites),
                vector(1, self.compressions),
                _encode_extensions(self.extensions),
            )
        )

    @property
    def server_name(self) -> str | None:
        return read_server_name(self.extensions.get(SERVER_NAME))


class ServerHello(msgspec.Struct, frozen=True, kw_only=True):
    version: bytes = VERSION
    random: bytes
    session_id: bytes
    suite: int
    extensions: Extensions

    def encode(self) -> bytes:
        return b"".join(
            (
                self.version,
                self.random,
                vector(1, self.session_id),
                self.suite.to_bytes(2, "big"),
                b"\0",
                _encode_extensions(self.extensions),
            )
        )


def random_without_cookie(body: bytes) -> bytes | None:
    """The random of a hello that brings no cookie: all that the answer to a stranger needs of it."""
    if len(body) < 36 or body[34] > SESSION_ID_OCTETS:
        return None  # `read_client_hello` says why
    cookie_at = 35 + body[34]
    return body[2:34] if cookie_at < len(body) and not body[cookie_at] else None


def read_client_hello(body: bytes) -> ClientHello:
    reader = Reader(body)
    hello = ClientHello(
        version=reader.take(2),
        random=reader.take(32),
        session_id=reader.vector(1),
        cookie=reader.vector(1),
        suites=numbers(reader.vector(2)),
        compressions=reader.vector(1),
        extensions=_read_extensions(reader),
    )
    if len(hello.session_id) > SESSION_ID_OCTETS:
        raise malformed("a session id of more than 32 octets")
    return hello


def read_server_hello(body: bytes) -> ServerHello:
    reader = Reader(body)
    version, random, session_id = reader.take(2), reader.take(32), reader.vector(1)
    suite = reader.number(2)
    if reader.take(1) != b"\0":
        raise malformed("the server compresses")
    extensions = _read_extensions(reader)
    return ServerHello(
        version=version, random=random, session_id=session_id, suite=suite, extensions=extensions
    )


def read_hello_verify(body: bytes) -> bytes:
    """The cookie."""
    reader = Reader(body)
    reader.take(2)
    cookie = reader.vector(1)
    reader.end()
    return cookie


def _read_extensions(reader: Reader) -> dict[int, bytes]:
    if reader.is_at_end:
        return {}
    inner = Reader(reader.vector(2))
    reader.end()
    extensions: dict[int, bytes] = {}
    while not inner.is_at_end:
        number = inner.number(2)
        if number in extensions:
            raise malformed("an extension comes twice")
        extensions[number] = inner.vector(2)
    return extensions


def _encode_extensions(extensions: Extensions) -> bytes:
    if not extensions:
        return b""
    return vector(
        2, b"".join(number.to_bytes(2, "big") + vector(2, value) for number, value in extensions.items())
    )


def read_server_name(value: bytes | None) -> str | None:
    if not value:
        return None
    reader = Reader(Reader(value).vector(2))
    while not reader.is_at_end:
        kind, name = reader.number(1), reader.vector(2)
        if kind == 0:
            try:
                return name.decode("ascii")
            except UnicodeDecodeError:
                raise malformed("a server name that is not ASCII") from None
    return None


def write_server_name(name: str) -> bytes:
    return vector(2, b"\0" + vector(2, name.encode("idna")))


def number_list(value: bytes | None, *, length_octets: int = 2, octets: int = 2) -> tuple[int, ...] | None:
    """The numbers of an extension that is one list; None if it is absent."""
    if value is None:
        return None
    reader = Reader(value)
    listed = numbers(reader.vector(length_octets), octets)
    reader.end()
    return listed


def write_list(listed: tuple[int, ...], *, length_octets: int = 2, octets: int = 2) -> bytes:
    return vector(length_octets, b"".join(number.to_bytes(octets, "big") for number in listed))
