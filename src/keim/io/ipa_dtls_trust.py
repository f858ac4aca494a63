"""The IPA's trust decisions for DTLS (bindings §3.2): pinned key, pinned leaf or CA, device store.

The same as keim.io.ipa_tls makes for HTTPS. Imports keim.ipa.trust, keim.pki and keim.wire.dtls only.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence

from cryptography import x509

from keim.ipa.trust import EimPeer, Trust
from keim.pki import Certificate
from keim.wire.dtls import trust as dtls
from keim.wire.dtls.hello import RAW_KEY, X509


def trust_of(peer: EimPeer, *, roots: Iterable[Certificate] | None, is_clock_set: bool) -> dtls.Trust:
    """`roots` replace the platform's store where the device has its own."""
    if peer.trust is Trust.PINNED_KEY:
        return dtls.PinnedKeys([peer.credential])
    if peer.trust is Trust.ANCHOR:
        found = [peer.credential]
    elif roots is not None:
        found = [root.der for root in roots]
    else:
        context = ssl.create_default_context()
        found = context.get_ca_certs(binary_form=True)
    anchors = dtls.Anchors(x509.load_der_x509_certificate(der) for der in found)
    return anchors if is_clock_set else _WithoutClock(anchors)


def certificate_types_for(peer: EimPeer) -> tuple[int, ...]:
    """A pinned key needs no certificate around it: that saves half a kilobyte."""
    return (RAW_KEY, X509) if peer.trust is Trust.PINNED_KEY else (X509,)


class _WithoutClock:
    """A device whose clock was never set judges a chain at the moment that its leaf was made."""

    def __init__(self, anchors: dtls.Anchors) -> None:
        self._anchors = anchors

    def check_raw_key(self, spki: bytes) -> None:
        self._anchors.check_raw_key(spki)

    def check_chain(
        self, chain: Sequence[x509.Certificate], *, name: str | None, is_server: bool, now: float
    ) -> None:
        moment = chain[0].not_valid_before_utc.timestamp()
        self._anchors.check_chain(chain, name=name, is_server=is_server, now=moment)
