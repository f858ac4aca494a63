"""ECDSA with SHA-256 in the raw form r || s (BSI TR-03111 plain format), as it stands under 5F37.

Certificates and CRLs carry the DER form instead, which is that of the engines too (keim.crypto.engine).
There is no low-s rule: (r, n - s) verifies as well, so a signature is never a unique key.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keim.crypto.curves import COORDINATE_OCTETS, Curve
from keim.crypto.engine import Sign, Verify, held_verifier, signer_of, verifier_of
from keim.errors import BadSignature, Refused

SIGNATURE_OCTETS: Final = 2 * COORDINATE_OCTETS
_ZERO: Final = bytes(COORDINATE_OCTETS)
_REPRODUCIBLE: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def raw_of_library_der(der: bytes) -> bytes:
    """r || s of the SEQUENCE that the library itself has just made (trusted: sliced, not parsed)."""
    r_end = 4 + der[3]
    if der[3] >= COORDINATE_OCTETS and der[r_end + 1] >= COORDINATE_OCTETS:
        return der[r_end - COORDINATE_OCTETS : r_end] + der[-COORDINATE_OCTETS:]
    r, s = der[4:r_end], der[r_end + 2 :]
    return r[-COORDINATE_OCTETS:].rjust(COORDINATE_OCTETS, b"\0") + s[-COORDINATE_OCTETS:].rjust(
        COORDINATE_OCTETS, b"\0"
    )


def der_of_raw(signature: bytes) -> bytes:
    """The SEQUENCE {r, s} of a raw signature whose halves are not zero."""
    return _der_of_halves(signature[:COORDINATE_OCTETS], signature[COORDINATE_OCTETS:])


def _der_of_halves(r: bytes, s: bytes) -> bytes:
    if r[0] and s[0]:  # both of full length, as nearly always
        if r[0] < 0x80:
            if s[0] < 0x80:
                return b"\x30\x44\x02\x20" + r + b"\x02\x20" + s
            return b"\x30\x45\x02\x20" + r + b"\x02\x21\x00" + s
        if s[0] < 0x80:
            return b"\x30\x45\x02\x21\x00" + r + b"\x02\x20" + s
        return b"\x30\x46\x02\x21\x00" + r + b"\x02\x21\x00" + s
    r, s = r.lstrip(b"\0"), s.lstrip(b"\0")
    if r[0] & 0x80:
        r = b"\0" + r
    if s[0] & 0x80:
        s = b"\0" + s
    return bytes((0x30, len(r) + len(s) + 4, 0x02, len(r))) + r + bytes((0x02, len(s))) + s


def raw_of_peer_der(signature: bytes) -> bytes:
    """For the one place that may be lenient (an eIM that talks to mocks): r || s of strict DER."""
    try:
        r, s = decode_dss_signature(signature)
        raw = r.to_bytes(COORDINATE_OCTETS, "big") + s.to_bytes(COORDINATE_OCTETS, "big")
    except (ValueError, OverflowError):
        raise BadSignature(
            "the signature is neither r || s nor a DER SEQUENCE of r and s", code="crypto.signature_form"
        ) from None
    if encode_dss_signature(r, s) != signature:
        raise BadSignature("the signature is not in strict DER", code="crypto.signature_form")
    return raw


class VerifyingKey:
    """A public key held ready. Hold it where one key verifies often: its first use may cost more."""

    __slots__ = ("_is_genuine", "_order", "curve", "point")

    def __init__(self, curve: Curve, point: bytes) -> None:
        self._hold(curve, point, verifier_of(curve, point))

    @classmethod
    def from_point(cls, curve: Curve, point: bytes) -> VerifyingKey:
        """The same, by way of the small cache of recently used points."""
        key = cls.__new__(cls)
        key._hold(curve, point, held_verifier(curve.name, point))
        return key

    def _hold(self, curve: Curve, point: bytes, is_genuine: Verify) -> None:
        self.curve = curve
        self.point = point
        self._order = curve.order
        self._is_genuine = is_genuine

    def verify(self, signature: bytes, message: bytes, *, accept_der: bool = False) -> None:
        """Returns when `signature` is that of `message`; `BadSignature` otherwise.

        `accept_der` is the eIM's option for card mocks that put a DER SEQUENCE under 5F37. Cards and
        servers never set it (SGP.22 fixes 64 octets).
        """
        if len(signature) != SIGNATURE_OCTETS:
            if not accept_der or signature[:1] != b"\x30":
                raise BadSignature(
                    f"a signature has {SIGNATURE_OCTETS} octets (r || s), not {len(signature)}",
                    code="crypto.signature_form",
                )
            signature = raw_of_peer_der(signature)
        r, s = signature[:COORDINATE_OCTETS], signature[COORDINATE_OCTETS:]
        if not (_ZERO < r < self._order and _ZERO < s < self._order):
            raise BadSignature(
                "r or s is zero or not below the order of the group", code="crypto.signature_range"
            )
        if not self._is_genuine(_der_of_halves(r, s), message):
            raise BadSignature("the signature does not belong to this message and key")

    def accepts(self, signature: bytes, message: bytes, *, accept_der: bool = False) -> bool:
        """`verify` as a question."""
        try:
            self.verify(signature, message, accept_der=accept_der)
        except BadSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"VerifyingKey({self.curve.name}, {self.point.hex()})"


class MemorySigner:
    """The `Signer` whose private key lies in memory: tests, software cards, and what file keys become."""

    __slots__ = ("_library_key", "_name", "_point", "_sign", "curve")

    def __init__(
        self, name: str, curve: Curve, library_key: ec.EllipticCurvePrivateKey, *, reproducible: bool = False
    ) -> None:
        self._name = name
        self.curve = curve
        self._library_key = library_key
        self._point = point_of(library_key.public_key())
        self._sign: Sign | None = None
        if reproducible:
            self._sign = lambda message: library_key.sign(message, _REPRODUCIBLE)

    @property
    def algorithm(self) -> str:
        return self._name

    @property
    def public_point(self) -> bytes:
        return self._point

    def sign(self, message: bytes) -> bytes:
        if self._sign is None:  # many keys never sign, or only certificates
            self._sign = signer_of(self._library_key)
        return raw_of_library_der(self._sign(message))

    @property
    def library_key(self) -> ec.EllipticCurvePrivateKey:
        """For the X.509 builders of keim.pki and the writers of key files."""
        return self._library_key

    def __repr__(self) -> str:
        return f"MemorySigner({self._name}, {self._point.hex()})"


def point_of(library_key: ec.EllipticCurvePublicKey) -> bytes:
    """04 || x || y of a key object, its coordinates padded to the curve's size."""
    numbers = library_key.public_numbers()
    return (
        b"\x04" + numbers.x.to_bytes(COORDINATE_OCTETS, "big") + numbers.y.to_bytes(COORDINATE_OCTETS, "big")
    )


def private_key_of(curve: Curve, scalar: bytes) -> ec.EllipticCurvePrivateKey:
    """The key object of a private scalar in 32 octets; a scalar outside of 1..n-1 is refused, never shown."""
    if len(scalar) != COORDINATE_OCTETS or not _ZERO < scalar < curve.order:
        raise Refused(
            f"a private scalar has {COORDINATE_OCTETS} octets and lies between 1 and n - 1",
            code="crypto.private_key_range",
        )
    return ec.derive_private_key(int.from_bytes(scalar, "big"), curve.library_curve)
