"""Key agreement between the SM-DP+ and the eUICC: one-time keys and ECKA-EG (plain ECDH, x-coordinate).

The eUICC speaks first (its 5F49), the SM-DP+ answers with its own: a key encapsulation mechanism fits the
same two steps, see docs/explanation/post-quantum.md. Each pair serves one agreement and is then forgotten;
the only re-use that the standard knows is the retry of the same profile by the same SM-DP+ (SGP.22 §5.7.5).
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keim.crypto.curves import COORDINATE_OCTETS, POINT_OCTETS, Curve, load_point
from keim.crypto.ecdsa import private_key_of
from keim.crypto.secrets import Secret

_BARE: Final = NoEncryption()
_SCALAR: Final = slice(7, 7 + COORDINATE_OCTETS)
"""Of ECPrivateKey, whose header and version have seven octets on both curves."""


class OneTimeKey:
    """A one-time key pair (otSK, otPK). `scalar` is for whoever must remember it."""

    __slots__ = ("_library_key", "curve", "public_point", "scalar")

    def __init__(self, curve: Curve, library_key: ec.EllipticCurvePrivateKey) -> None:
        self.curve = curve
        self._library_key = library_key
        # ECPrivateKey (RFC 5915) has both halves at fixed places; asking for each apart costs twice as much.
        octets = library_key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, _BARE)
        self.scalar = Secret(octets[_SCALAR])
        self.public_point = octets[-POINT_OCTETS:]

    @classmethod
    def generate(cls, curve: Curve) -> OneTimeKey:
        return cls(curve, ec.generate_private_key(curve.library_curve))

    @classmethod
    def from_scalar(cls, curve: Curve, scalar: bytes) -> OneTimeKey:
        return cls(curve, private_key_of(curve, scalar))

    def agree(self, peer_point: bytes) -> Secret:
        """The shared secret z, 32 octets. A peer's point that is none of this curve is `BadPublicKey`."""
        return Secret(self._library_key.exchange(ec.ECDH(), load_point(self.curve, peer_point)))

    def __repr__(self) -> str:
        return f"OneTimeKey({self.curve.name}, {self.public_point.hex()})"
