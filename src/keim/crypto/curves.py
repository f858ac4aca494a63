"""The two curves of the standard, and the strict reading of their public points.

Both curves have 32-octet coordinates. Points travel uncompressed (04 || x || y), so any other form is
refused, and so is a point that is not on the curve (the library checks that when it imports one).
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from keim.crypto.faults import BadPublicKey

COORDINATE_OCTETS: Final = 32
POINT_OCTETS: Final = 1 + 2 * COORDINATE_OCTETS


class Curve(msgspec.Struct, frozen=True, gc=False):
    """One named curve y² = x³ + ax + b over the integers modulo `prime`.

    `order` is n in octets, `spki_prefix` what stands before the point in DER.
    """

    name: str
    oid: str
    order: bytes
    prime: int
    a: int
    b: int
    spki_prefix: bytes
    library_curve: ec.EllipticCurve

    def has_point(self, coordinates: bytes) -> bool:
        """Whether x || y is a point. In plain integers: public data only, and cheaper than a key object."""
        x = int.from_bytes(coordinates[:COORDINATE_OCTETS], "big")
        y = int.from_bytes(coordinates[COORDINATE_OCTETS:], "big")
        prime = self.prime
        return x < prime and y < prime and (y * y - (x * x + self.a) * x - self.b) % prime == 0

    def spki(self, point: bytes) -> bytes:
        """The SubjectPublicKeyInfo of a point (complete DER)."""
        return self.spki_prefix + point


P256: Final = Curve(
    name="secp256r1",
    oid="1.2.840.10045.3.1.7",
    order=bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
    prime=2**256 - 2**224 + 2**192 + 2**96 - 1,
    a=-3,
    b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    spki_prefix=bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
    library_curve=ec.SECP256R1(),
)
BRAINPOOL_P256: Final = Curve(
    name="brainpoolP256r1",
    oid="1.3.36.3.3.2.8.1.1.7",
    order=bytes.fromhex("a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7"),
    prime=0xA9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377,
    a=0x7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9,
    b=0x26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6,
    spki_prefix=bytes.fromhex("305a301406072a8648ce3d020106092b2403030208010107034200"),
    library_curve=ec.BrainpoolP256R1(),
)
CURVES: Final = (P256, BRAINPOOL_P256)
_BY_NAME: Final = {curve.name: curve for curve in CURVES}


def curve_named(name: str) -> Curve:
    """The curve of that name (as in X.509 tools: secp256r1, brainpoolP256r1)."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise BadPublicKey(f"the curve {name!r} is not used by SGP.32", code="crypto.wrong_curve") from None


def load_point(curve: Curve, point: bytes) -> ec.EllipticCurvePublicKey:
    """The library's key object of an uncompressed point; each fault has its own code."""
    check_form(point)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve.library_curve, point)
    except ValueError:
        raise off_curve(curve) from None


def check_form(point: bytes) -> None:
    """Refuses what is no uncompressed point of any of our curves."""
    if len(point) != POINT_OCTETS or point[0] != 0x04:
        raise _form_refusal(point)


def off_curve(curve: Curve) -> BadPublicKey:
    return BadPublicKey(f"the public key is no point of {curve.name}", code="crypto.point_not_on_curve")


def _form_refusal(point: bytes) -> BadPublicKey:
    if point and not any(point):
        return BadPublicKey("the public key is the point at infinity", code="crypto.point_at_infinity")
    if point[:1] in (b"\x02", b"\x03") and len(point) == 1 + COORDINATE_OCTETS:
        return BadPublicKey(
            "the public key is a compressed point; 04 || x || y is needed", code="crypto.point_compressed"
        )
    return BadPublicKey(
        f"a public key is 04 || x || y in {POINT_OCTETS} octets, not {len(point)} octets that start with "
        f"{point[:1].hex() or 'nothing'}",
        code="crypto.point_form",
    )


def split_spki(spki: bytes) -> tuple[Curve, bytes]:
    """The curve and point of a SubjectPublicKeyInfo (DER), or `BadPublicKey`."""
    for curve in CURVES:
        if spki.startswith(curve.spki_prefix) and len(spki) == len(curve.spki_prefix) + POINT_OCTETS:
            return curve, spki[len(curve.spki_prefix) :]
    for curve in CURVES:
        algorithm = curve.spki_prefix[2:-3]
        if spki[2:].startswith(algorithm):
            raise _form_refusal(spki[2 + len(algorithm) + 3 :])
    raise BadPublicKey(
        "the public key is on none of the curves secp256r1 and brainpoolP256r1", code="crypto.wrong_curve"
    )
