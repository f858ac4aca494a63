"""Whether an eUICC has said it: its chain to a CI, its key, its signature over the octets as received.

Pure; imports floor 0 only.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from keim.authentication.euicc import verifying_key
from keim.crypto.signed import euicc_package_v1_0_tbs
from keim.deciding import Deciding, ask
from keim.eim.change import Change
from keim.eim.picture import KeyProved
from keim.eim.signatures import is_genuine
from keim.errors import KeimError, Malformed
from keim.pki import Certificate, Role

BY_SIGNATURE: Final = "signature"
SWITCHED_OFF: Final = "switched off"
UNSIGNED: Final = "unsigned"
NOT_CHECKED: Final = "not checked"
"""Kept for people; nothing follows from it."""
REFUSED: Final = "refused"
"""It was not believed; kept as it came."""


def proved_certificate(change: Change, euicc: bytes, eum: bytes) -> Certificate | str:
    """CERT.EUICC of this very device under a CI that we trust, or why not."""
    eim = change.eim
    try:
        found = eim.chains.validate(
            euicc,
            [eum, *eim.intermediates],
            eim.trust,
            role=Role.EUICC,
            now=change.now,
            crls=eim.revocations,
        )
    except Malformed as error:
        return f"a certificate cannot be read: {error}"
    if not found.ok:
        return f"the eUICC's chain is refused: {found.reason}"
    if found.leaf.names.serial_number != change.eid:
        return "the certificate is of another eUICC"
    return found.leaf


def remember_certificate(change: Change, leaf: Certificate, eum: bytes) -> None:
    """From now on this key proves results."""
    if leaf.point == change.device.point:
        return
    assert leaf.curve is not None  # the chain's check refuses other keys
    change.effect(KeyProved(point=leaf.point, curve=leaf.curve.value), is_proved=True)
    change.know(euicc_certificate=leaf.der, eum_certificate=eum)


def why_not(change: Change, signature: bytes, message: bytes) -> Deciding[str | None]:
    """None: this eUICC signed `message`."""
    device = change.device
    if device.point is None:
        return "the eUICC's certificate is not known"
    accepts_der = change.eim.switches_of(device).accepts_der
    check = partial(is_genuine, device.curve, device.point, signature, message, accepts_der=accepts_der)
    return None if (yield from ask(check)) else "the signature does not verify"


def judged(
    change: Change, signature: bytes, signed: bytes, with_token: bytes
) -> Deciding[tuple[str | None, bool]]:
    """(why not, whether the signature covers no token, as that of a peer of v1.0 may).

    `with_token` is what it covers in v1.2; a peer of v1.0 may cover that too, so it comes first (objects
    §19.1).
    """
    why = yield from why_not(change, signature, with_token)
    if why is None or change.eim.switches_of(change.device).covers_token:
        return why, False
    old = yield from why_not(change, signature, euicc_package_v1_0_tbs(signed))
    return old, old is None


def is_signed_by(certificate: bytes, signature: bytes, message: bytes) -> bool:
    """For a certificate that has been verified before (of a relayed session)."""
    try:
        return verifying_key(Certificate(certificate)).accepts(signature, message)
    except KeimError:
        return False
