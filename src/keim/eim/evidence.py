"""What proves an event: octets as they went over the wire, and what their signatures cover beside them.

A decision names the evidence of its events, so that whoever logs them needs nothing else. Certificates are
handed on as they are, since this role knows nothing of logs. Pure; imports floor 0 only.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from keim.eim.rows import Device, Knowledge
from keim.eim.settings import Eim
from keim.messages.notification import PendingNotification
from keim.pki import Role


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    event: int
    """Which of the decision's events it proves."""
    package: bytes | None = None
    """An eUICC package as it is handed out."""
    result: bytes | None = None
    """An eUICC package result as it came."""
    notification: PendingNotification | None = None
    """In its full form."""
    token: int | None = None
    """The association token that package or result was signed with."""
    signer: bytes | None = None
    """Certificate (or key, as SubjectPublicKeyInfo) of the eIM's signature."""
    chain: tuple[bytes, ...] = ()
    """CERT.EUICC and the certificates above it, without the root."""
    verification: str = ""
    """How the eUICC's word was judged, in the words of `keim.eim.results.verification`."""
    without_token: bool = False
    """Of a peer of SGP.32 v1.0, whose signatures cover no token."""
    operation: str = ""
    """The reference of its order, where it is at hand."""


def signer_of(eim: Eim, device: Device) -> bytes:
    """What others know the key by that signs for this device: its certificate, else the bare key."""
    known = eim.signing_certificates.get(device.signer)
    if known is None and device.signer not in eim.signers:
        known = eim.signing_certificates.get(next(iter(eim.signers)))
    return known if known is not None else eim.spki_of(device)


def chain_of(eim: Eim, knowledge: Knowledge, now: datetime) -> tuple[bytes, ...]:
    """Of the eUICC whose certificates were proved before."""
    euicc, eum = knowledge.euicc_certificate, knowledge.eum_certificate
    return () if euicc is None or eum is None else chain_above(eim, euicc, eum, now)


def chain_above(eim: Eim, euicc: bytes, eum: bytes, now: datetime) -> tuple[bytes, ...]:
    """With what stands between the EUM and the CI, where there is more than one level."""
    if not eim.intermediates:
        return (euicc, eum)
    found = eim.chains.validate(
        euicc, [eum, *eim.intermediates], eim.trust, role=Role.EUICC, now=now, crls=eim.revocations
    )
    return tuple(certificate.der for certificate in found.path[:-1]) if found.ok else (euicc, eum)
