"""What a DTLS endpoint offers and takes, and its bounds. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from keim.wire.dtls.credentials import Credential, PreSharedKey
from keim.wire.dtls.hello import RAW_KEY, X509
from keim.wire.dtls.sessions import Resumption
from keim.wire.dtls.suites import GROUPS, SUITES, Suite
from keim.wire.dtls.trust import Trust


class DtlsConfig(msgspec.Struct, frozen=True, kw_only=True):
    credentials: tuple[Credential, ...] = ()
    trust: Trust | None = None
    client_proof: Literal["none", "optional", "required"] = "none"
    """Whether a server asks clients for a certificate or a raw key."""
    find_psk: Callable[[bytes], bytes | None] | None = None
    """The key of a PSK identity; for laboratories."""
    suites: tuple[Suite, ...] = SUITES
    groups: tuple[int, ...] = GROUPS
    certificate_types: tuple[int, ...] = (X509, RAW_KEY)
    """What a client takes from a server, best first; a server takes what it can prove."""

    cid_octets: int | None = 8
    """The connection id that peers are told to use towards us; 0: we can send, but need none; None: never."""
    worker: int | None = None
    """Our number, where several processes share the port: the first octet of our connection ids tells it."""
    workers: int = 256
    """How many they are: the number is that octet modulo this."""

    mtu: int = 1200
    """Octets of the largest datagram during handshakes."""
    timeout_s: float = 1.0
    """Until a flight is repeated; 9 on low-power wide-area networks (RFC 7925 §11)."""
    largest_timeout_s: float = 60.0
    tries: int = 6
    tail_s: float = 240.0
    """How long the last flight of a handshake is kept for a peer that missed it."""
    resumption: Resumption = "ids"
    session_s: float = 7 * 86400.0
    cookieless_resumptions_per_s: int = 0
    """Resumptions that are taken without the round trip of a cookie, per address prefix."""

    admits: Callable[[Any, float], bool] | None = None
    """Whether a handshake may begin with this address now; asked when its cookie was right."""
    half_open: int = 4096
    associations: int = 100_000
    warm_associations: int = 1024
    """Whose expanded keys are kept; the others' are made again when needed (5 us), for they take 5 KiB."""
    move_interval_s: float = 1.0
    max_fragment_length: int | None = None
    """What a client asks for: 512, 1024, 2048 or 4096."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a client knows of the server that it connects to."""

    server_name: str | None = None
    psk: PreSharedKey | None = None
    session: object = None
    """What an earlier association left, of the same engine (`Session` here); others are not looked at."""
