"""Who computes ECDSA with SHA-256: AWS-LC on P-256 where it is installed (extra `fast`), else `cryptography`.

AWS-LC takes three quarters of the time to sign, four fifths to verify, and a key that was never used before
costs it nothing more (`keim bench crypto` prints both). Their verdicts are the same. Brainpool's curve is
`cryptography`'s alone. Signatures are DER here, as both libraries speak it and certificates carry it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import sha256
from typing import Final, Protocol, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keim.crypto.curves import P256, Curve, check_form, curve_named, load_point, off_curve

Verify = Callable[[bytes, bytes], bool]
"""Whether a signature (the SEQUENCE of r and s) is that of a message."""
Sign = Callable[[bytes], bytes]


class AwsKey(Protocol):
    """Of a message only the digest is asked for."""

    def sign(self, digest: bytes) -> bytes: ...

    def verify(self, digest: bytes, signature: bytes) -> bool: ...


class AwsLc(Protocol):
    def new_key_from_der_data(self, der_data: bytes) -> AwsKey:
        """RuntimeError where it is none."""


KEYS_HELD: Final = 4096
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
_BARE: Final = NoEncryption()


@cache
def aws_lc() -> AwsLc | None:
    """Loaded when the first signature is wanted: a command that has none need not wait for it."""
    try:
        from awscrt.crypto import EC  # type: ignore[import-untyped]  # what of it is used, `AwsLc` tells
    except ModuleNotFoundError:  # the extra `fast` is not installed
        return None
    return cast(AwsLc, EC)


def name() -> str:
    return "cryptography" if aws_lc() is None else "AWS-LC"


def verifier_of(curve: Curve, point: bytes) -> Verify:
    """Of an uncompressed point; `BadPublicKey`, each fault with its own code, where it is none."""
    fast = aws_lc() if curve is P256 else None
    return by_cryptography(curve, point) if fast is None else by_aws_lc(fast, curve, point)


@lru_cache(maxsize=KEYS_HELD)
def held_verifier(curve_name: str, point: bytes) -> Verify:
    """The same, from a small cache: `cryptography`'s key is faster the second time."""
    return verifier_of(curve_named(curve_name), point)


def signer_of(key: ec.EllipticCurvePrivateKey) -> Sign:
    fast = aws_lc() if key.curve.name == P256.name else None
    if fast is None:
        return lambda message: key.sign(message, _ALGORITHM)
    octets = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, _BARE)
    sign = fast.new_key_from_der_data(octets).sign
    return lambda message: sign(sha256(message).digest())


def by_cryptography(curve: Curve, point: bytes) -> Verify:
    verify = load_point(curve, point).verify

    def is_genuine(signature: bytes, message: bytes) -> bool:
        try:
            verify(signature, message, _ALGORITHM)
        except InvalidSignature:
            return False
        return True

    return is_genuine


def by_aws_lc(fast: AwsLc, curve: Curve, point: bytes) -> Verify:
    check_form(point)
    try:
        verify = fast.new_key_from_der_data(curve.spki(point)).verify
    except RuntimeError:
        raise off_curve(curve) from None

    def is_genuine(signature: bytes, message: bytes) -> bool:
        return verify(sha256(message).digest(), signature)

    return is_genuine
