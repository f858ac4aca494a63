"""The two curves of the standard as people name them, and how a key in a certificate is told to be on one.

Pure. Imports keim.errors and keim.crypto.curves only.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from keim.crypto import curves
from keim.errors import Refused


class Curve(Enum):
    """The two curves of the standard, by the name that people type."""

    NIST = "nist"
    BRAINPOOL = "brainpool"

    @property
    def domain(self) -> curves.Curve:
        """The same curve as keim.crypto knows it."""
        return _DOMAINS[self]

    @property
    def parameters(self) -> ec.EllipticCurve:
        return _DOMAINS[self].library_curve

    @classmethod
    def of_key(cls, key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> Curve:
        for curve in cls:
            if curve.parameters.name == key.curve.name:
                return curve
        raise Refused(f"keys on {key.curve.name} are not used here", code="pki.unsupported_curve")


_DOMAINS: Final = {Curve.NIST: curves.P256, Curve.BRAINPOOL: curves.BRAINPOOL_P256}
_SPKI_PREFIXES: Final = {curve.domain.spki_prefix + b"\x04": curve for curve in Curve}


def curve_of(spki: bytes) -> Curve | None:
    """The curve of a SubjectPublicKeyInfo in the one form that the standard uses; None for any other key."""
    if len(spki) == 91:
        return _SPKI_PREFIXES.get(spki[:27])
    return _SPKI_PREFIXES.get(spki[:28]) if len(spki) == 92 else None
