"""The IPA's trust decisions as TLS contexts (bindings §3.2): pinned key, pinned leaf or CA, device store.

Imports keim.errors, keim.io.tls, keim.ipa.trust and keim.pki only.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from keim.errors import Untrusted
from keim.io.tls import Pin, check_peer, check_spki, client_context
from keim.ipa.trust import EimPeer, Trust
from keim.pki import Certificate, Role, TrustStore

NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python does not name."""
CLOCK_IS_SET_AFTER: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""A clock before this has never been set: certificates are newer than the clock."""


def is_clock_set(now: datetime) -> bool:
    return now >= CLOCK_IS_SET_AFTER


def eim_context(peer: EimPeer, *, roots: Iterable[Certificate] | None, now: datetime) -> ssl.SSLContext:
    """For ESipa. `roots` replace the platform's store where the device has its own."""
    if peer.trust is Trust.PINNED_KEY:
        return client_context(pin=Pin(spki=peer.credential), with_public_web=True)
    if peer.trust is Trust.ANCHOR:
        context = client_context(pin=Pin(certificate=peer.credential), with_public_web=True)
    else:
        context = client_context(roots, with_public_web=True)
    context.hostname_checks_common_name = True  # eIM certificates may name the FQDN in the CN only
    if not is_clock_set(now):
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    return context


def check_eim(connection: ssl.SSLSocket | ssl.SSLObject, peer: EimPeer) -> None:
    """Right after the handshake, before anything is sent."""
    if peer.trust is Trust.PINNED_KEY:
        check_spki(connection, peer.credential, party=peer.eim_id)


def server_context(roots: Iterable[Certificate] | None, *, now: datetime) -> ssl.SSLContext:
    """For ES9+ and ES11."""
    context = client_context(roots, with_public_web=roots is None)
    if not is_clock_set(now):
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    return context


def check_server(
    connection: ssl.SSLSocket | ssl.SSLObject, trust: TrustStore | None, *, host: str, now: datetime
) -> None:
    """Under a CI of the eSIM world the certificate must be one of an SM-DP+ or SM-DS (crypto §5)."""
    if trust is None or not is_clock_set(now):
        return
    try:
        check_peer(connection, trust, role=Role.DP_TLS, now=now, server_name=host, party=host)
    except Untrusted:
        check_peer(connection, trust, role=Role.DS_TLS, now=now, server_name=host, party=host)
