"""What a server chooses from an offer: suite, group, type of certificate, credential (RFC 7250). Pure."""

from __future__ import annotations

import msgspec

from keim.wire.dtls import faults, hello
from keim.wire.dtls.config import DtlsConfig
from keim.wire.dtls.credentials import Credential
from keim.wire.dtls.faults import HandshakeFailed
from keim.wire.dtls.hello import RAW_KEY, X509, ClientHello
from keim.wire.dtls.suites import SUITE_OF, Suite

ECDSA_SHA256 = 0x0403


class Chosen(msgspec.Struct, frozen=True):
    suite: Suite
    group: int
    credential: Credential | None
    server_type: int
    client_type: int | None
    """None where the client is not asked to prove itself."""


def check_offer(offer: ClientHello) -> None:
    if offer.version[0] != 0xFE or offer.version > b"\xfe\xfd":
        raise HandshakeFailed("the client does not speak DTLS 1.2", faults.PROTOCOL_VERSION)
    if 0 not in offer.compressions:
        raise faults.illegal("an offer without the null compression")
    if offer.extensions.get(hello.RENEGOTIATION_INFO, b"\0") != b"\0":
        raise HandshakeFailed("a renegotiation", faults.HANDSHAKE_FAILURE)


def choose(offer: ClientHello, config: DtlsConfig) -> Chosen:
    """The client's order decides: the device knows its hardware."""
    extensions = offer.extensions
    groups = hello.number_list(extensions.get(hello.SUPPORTED_GROUPS))
    group = next((g for g in (groups if groups is not None else config.groups) if g in config.groups), 0)
    algorithms = hello.number_list(extensions.get(hello.SIGNATURE_ALGORITHMS))
    can_verify = algorithms is None or ECDSA_SHA256 in algorithms
    name = offer.server_name
    types = hello.number_list(extensions.get(hello.SERVER_CERTIFICATE_TYPE), length_octets=1, octets=1) or (
        X509,
    )
    allowed = {suite.number for suite in config.suites}
    for number in offer.suites:
        suite = SUITE_OF.get(number) if number in allowed else None
        if suite is None or (suite.has_agreement and not group):
            continue
        if suite.exchange != "ecdsa":
            if config.find_psk is not None:
                return Chosen(suite, group, None, X509, None)
            continue
        if not can_verify:
            continue
        found = _credential(config, name, types, groups)
        if found is not None:
            return Chosen(suite, group, found[0], found[1], _client_type(offer, config))
    raise HandshakeFailed(
        "the client offers nothing that we can do", faults.HANDSHAKE_FAILURE, code="dtls.nothing_in_common"
    )


def _credential(
    config: DtlsConfig, name: str | None, types: tuple[int, ...], groups: tuple[int, ...] | None
) -> tuple[Credential, int] | None:
    """For the server name if one is meant for it; its curve must be among the client's groups."""
    fitting = [c for c in config.credentials if groups is None or c.group in groups]
    fitting.sort(key=lambda c: 0 if name in c.names else 1 if not c.names else 2)
    for kind in types:
        for credential in fitting:
            if kind == RAW_KEY or (kind == X509 and credential.chain):
                return credential, kind
    return None


def _client_type(offer: ClientHello, config: DtlsConfig) -> int | None:
    if config.client_proof == "none":
        return None
    types = hello.number_list(
        offer.extensions.get(hello.CLIENT_CERTIFICATE_TYPE), length_octets=1, octets=1
    ) or (X509,)
    for kind in types:
        if kind in (X509, RAW_KEY):
            return kind
    raise HandshakeFailed(
        "the client can prove itself in no way that we know", faults.UNSUPPORTED_CERTIFICATE
    )
