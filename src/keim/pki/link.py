"""What holds for every certificate of a chain, root included, but the signature (crypto §1.5, step 2).

Pure. Imports its neighbours in keim.pki only.
"""

from __future__ import annotations

from keim.pki import extensions as ext
from keim.pki.certificate import Certificate
from keim.pki.crl import Revocations
from keim.pki.dates import time_text
from keim.pki.reading import ECDSA_WITH_SHA256
from keim.pki.roles import Demands
from keim.pki.verdict import Fault, Verdict


def is_bare_anchor(root: Certificate, demands: Demands) -> bool:
    """A pinned eIM certificate, or the authority of an eIM that is no root: trusted as it is."""
    return demands.is_eim and root.issuer != root.subject


def check_link(
    certificate: Certificate, issuer: Certificate, root: Certificate, demands: Demands
) -> Fault | None:
    """What is looked at before the signature: the key, and that it hangs under `issuer`."""
    if certificate.curve is None:
        return Verdict.UNSUPPORTED_CURVE, "its key is neither on P-256 nor on brainpoolP256r1"
    if certificate.curve is not root.curve:
        return Verdict.MIXED_CURVE, f"its key is on {certificate.curve.value}, the root's is not"
    certificate.check_point()
    if certificate is root and is_bare_anchor(root, demands):
        return None
    if certificate.issuer != issuer.subject:
        return Verdict.ISSUER_NAME_MISMATCH, "its issuer is not the subject of the certificate above"
    if certificate.aki != issuer.key_identifier and not (certificate is root and certificate.aki is None):
        return Verdict.AKI_MISMATCH, "its authorityKeyIdentifier does not name the key above"
    if not certificate.inner_algorithm == certificate.outer_algorithm == ECDSA_WITH_SHA256:
        return Verdict.BAD_SIGNATURE_ALGORITHM, "it is not signed by ecdsa-with-SHA256"
    return None


def check_state(
    certificate: Certificate, issuer: Certificate, moment: str | None, lists: Revocations | None
) -> Fault | None:
    """What is looked at after the signature: dates, revocation, and that nothing critical is unknown."""
    if moment is not None:
        if moment < certificate.not_before:
            return Verdict.NOT_YET_VALID, f"it is valid from {time_text(certificate.not_before)}"
        if moment > certificate.not_after:
            return Verdict.EXPIRED, f"it ended at {time_text(certificate.not_after)}"
    if lists is not None and lists.is_revoked(certificate, issuer, moment):
        return Verdict.REVOKED, "a revocation list of its issuer names it"
    if not ext.KNOWN.issuperset(certificate.extensions):
        for oid, (critical, _) in certificate.extensions.items():
            if critical and oid not in ext.KNOWN:
                return Verdict.UNKNOWN_CRITICAL_EXTENSION, f"extension {oid.hex()} is critical and unknown"
    return None
