"""Whom the IPA takes for an eIM: the address and the trust decision of bindings §3.2, as a value.

The edge that opens the connection obeys it. Imports keim.messages and keim.errors only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from keim.errors import Refused
from keim.messages.package import EimConfigurationData, EimIdType, EimSupportedProtocol


class Trust(Enum):
    PINNED_KEY = "the leaf's SubjectPublicKeyInfo equals the pinned one; no name check, no validity check"
    ANCHOR = "the given certificate, leaf or CA, is the anchor; the host name is checked"
    DEVICE_STORE = "the device's own CA store; the host name is checked"


@dataclass(frozen=True, slots=True)
class EimPeer:
    """An eIM as the edge sees it: where it is and what proves it."""

    eim_id: str
    address: str
    """host or host:port."""
    trust: Trust = Trust.DEVICE_STORE
    credential: bytes = b""
    """The SubjectPublicKeyInfo (PINNED_KEY) or the certificate (ANCHOR), complete DER."""
    protocols: EimSupportedProtocol | None = None
    eid: str = ""
    """Whose device asks: carriers that are shared by many devices name it."""

    @property
    def host(self) -> str:
        host, separator, port = self.address.rpartition(":")
        return host if separator and port.isdecimal() else self.address

    def port(self, default: int) -> int:
        _, separator, port = self.address.rpartition(":")
        return int(port) if separator and port.isdecimal() else default


def address_of(entry: EimConfigurationData, own_address: str | None) -> str | None:
    """Our own configuration first, then eimFqdn, then an eimId that is a name (procedures §3.1)."""
    if own_address:
        return own_address
    if entry.eim_fqdn:
        return entry.eim_fqdn
    return entry.eim_id if entry.eim_id_type == EimIdType.EIM_ID_TYPE_FQDN else None


def peer_of(entry: EimConfigurationData, own_address: str | None = None, *, eid: str = "") -> EimPeer:
    """Raises `Refused` for an eIM without an address: it can only be reached by injection."""
    address = address_of(entry, own_address)
    if address is None:
        raise Refused(
            f"the eIM {entry.eim_id} has no address in the card or in the configuration",
            code="ipa.no_address",
        )
    data = entry.trusted_public_key_data_tls
    trust, credential = Trust.DEVICE_STORE, b""
    if data is not None and data.trusted_eim_pk_tls is not None:
        trust, credential = Trust.PINNED_KEY, bytes(data.trusted_eim_pk_tls)
    elif data is not None and data.trusted_certificate_tls is not None:
        trust, credential = Trust.ANCHOR, bytes(data.trusted_certificate_tls)
    return EimPeer(entry.eim_id, address, trust, credential, entry.eim_supported_protocol, eid)
