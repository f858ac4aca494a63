"""Key agreement between the SM-DP+ and the eUICC: one-time keys and ECKA-EG (plain ECDH, x-coordinate).

The eUICC speaks first (its 5F49), the SM-DP+ answers with its own: a key encapsulation mechanism fits the
same two steps, see docs/explanation/post-quantum.md. Each pair serves one agreement and is then forgotten;
the only re-use that the standard knows is the retry of the same profile by the same SM-DP+ (SGP.22 §5.7.5).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from keim.crypto.curves import COORDINATE_OCTETS, Curve, load_point
from keim.crypto.ecdsa import point_of, private_key_of
from keim.crypto.secrets import Secret


class OneTimeKey:
    """A one-time key pair (otSK, otPK). `scalar` is for the state of a card that must remember it."""

    __slots__ = ("_library_key", "curve", "public_point")

    def __init__(self, curve: Curve, library_key: ec.EllipticCurvePrivateKey) -> None:
        self.curve = curve
        self._library_key = library_key
        self.public_point = point_of(library_key.public_key())

    @classmethod
    def generate(cls, curve: Curve) -> OneTimeKey:
        return cls(curve, ec.generate_private_key(curve.library_curve))

    @classmethod
    def from_scalar(cls, curve: Curve, scalar: bytes) -> OneTimeKey:
        return cls(curve, private_key_of(curve, scalar))

    @property
    def scalar(self) -> Secret:
        value = self._library_key.private_numbers().private_value
        return Secret(value.to_bytes(COORDINATE_OCTETS, "big"))

    def agree(self, peer_point: bytes) -> Secret:
        """The shared secret z, 32 octets. A peer's point that is none of this curve is `BadPublicKey`."""
        return Secret(self._library_key.exchange(ec.ECDH(), load_point(self.curve, peer_point)))

    def __repr__(self) -> str:
        return f"OneTimeKey({self.curve.name}, {self.public_point.hex()})"
