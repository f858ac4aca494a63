"""CoAP in the IPA's configuration, and the carrier made of it (docs/how-to/constrained-networks.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from keim.errors import Refused
from keim.io.dtls_engines import Engine, chain_of
from keim.io.dtls_notes import DtlsNotes
from keim.io.ipa_coap import CoapPeers, DeviceCoap
from keim.io.ipa_tls import is_clock_set
from keim.io.pem import read_private_key
from keim.io.shared_keys import read_shared_keys
from keim.io.tls import tls_credential
from keim.io.world_clock import SystemClock
from keim.pki import Certificate, Role
from keim.wire.coap.settings import BLOCKS, CoapSettings
from keim.wire.dtls.config import DtlsConfig
from keim.wire.dtls.credentials import PreSharedKey
from keim.wire.dtls.suites import SUITE_NAMED, SUITES

FRAGMENTS: Final = (0, 512, 1024, 2048, 4096)


class CoapSection(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The table `[coap]` of `keim ipa`."""

    engine: Engine = "native"
    connection_ids: bool = True
    suites: tuple[str, ...] = ()
    """Best first; empty: all that this IPA has."""
    handshake_timeout_s: float = 1.0
    """Until a flight is repeated; 9 on NB-IoT (RFC 7925)."""
    ack_timeout_s: float = 2.0
    """Until a request is repeated; 10 on NB-IoT."""
    max_block: int = 1024
    mtu: int = 1200
    max_fragment: int = 0
    """The longest record that the eIM is asked to send: 512, 1024, 2048 or 4096; 0: it may choose."""
    shared_keys: str = ""
    """TOML file of pre-shared keys, for laboratories."""
    identity: str = ""
    """Which of them is ours."""
    certificate: str = ""
    key: str = ""
    """What we prove ourselves with, where an eIM asks or calls: a certificate and its key, or only a key."""
    listen: str = ""
    """Where eIMs inject packages over CoAP; empty: nowhere."""

    def device(self) -> DeviceCoap:
        unknown = [name for name in self.suites if name not in SUITE_NAMED]
        if unknown:
            raise Refused(
                f"coap.suites: {unknown[0]} is none of {', '.join(SUITE_NAMED)}", code="config.invalid"
            )
        if self.max_block not in BLOCKS:
            raise Refused(f"coap.max_block is one of {', '.join(map(str, BLOCKS))}", code="config.invalid")
        if self.max_fragment not in FRAGMENTS:
            raise Refused(
                f"coap.max_fragment is one of {', '.join(map(str, FRAGMENTS))}", code="config.invalid"
            )
        proof = None
        if self.certificate:
            proof = tls_credential(Path(self.certificate), Path(self.key), Role.EIM_TLS)
        return DeviceCoap(
            engine=self.engine,
            settings=CoapSettings(
                ack_timeout_s=self.ack_timeout_s, max_exponent=BLOCKS.index(self.max_block)
            ),
            native=DtlsConfig(
                cid_octets=0 if self.connection_ids else None,
                suites=tuple(SUITE_NAMED[name] for name in self.suites) or SUITES,
                timeout_s=self.handshake_timeout_s,
                mtu=self.mtu,
                max_fragment_length=self.max_fragment or None,
            ),
            shared_key=self._shared_key(),
            key=read_private_key(Path(self.key)) if self.key else None,
            chain=tuple[x509.Certificate, ...](chain_of(proof)) if proof is not None else (),
        )

    def _shared_key(self) -> PreSharedKey | None:
        if not self.shared_keys:
            return None
        key = read_shared_keys(Path(self.shared_keys))(self.identity.encode())
        if key is None:
            raise Refused(f"{self.shared_keys} has no key of {self.identity!r}", code="config.invalid")
        return PreSharedKey(self.identity.encode(), key)


def coap_peers(
    section: CoapSection,
    state: str,
    *,
    eim_roots: tuple[Certificate, ...] | None,
    addresses: Mapping[str, tuple[str, int]],
) -> CoapPeers:
    """Associations stand beside the state file, if there is one."""
    clock = SystemClock()
    return CoapPeers(
        section.device(),
        DtlsNotes(Path(f"{state}.dtls") if state else None),
        eim_roots=eim_roots,
        addresses=dict(addresses),
        is_clock_set=lambda: is_clock_set(clock.now()),
    )
