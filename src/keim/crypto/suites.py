"""The named suites: signature, key agreement and curve under one name, and the one place to add another.

A `Signer` says its suite by name (`signer.algorithm`); a certificate or key says it by its curve. A
post-quantum or hybrid suite is one more row here with its own key classes (docs/explanation/post-quantum.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from keim.crypto.agreement import OneTimeKey
from keim.crypto.curves import BRAINPOOL_P256, P256, Curve, curve_named, split_spki
from keim.crypto.ecdsa import SIGNATURE_OCTETS, MemorySigner, VerifyingKey, private_key_of
from keim.errors import Refused


class Suite(msgspec.Struct, frozen=True):
    """One row: what a name stands for. Points are uncompressed, scalars 32 octets, signatures r || s."""

    name: str
    curve: Curve
    signature_octets: int
    verifying_key: Callable[[bytes], VerifyingKey]
    """Of a point; by way of a small cache."""
    new_signer: Callable[[], MemorySigner]
    signer_of_scalar: Callable[..., MemorySigner]
    """Of a private scalar; with `reproducible=True` the nonces are those of RFC 6979."""
    new_one_time_key: Callable[[], OneTimeKey]
    one_time_key_of_scalar: Callable[[bytes], OneTimeKey]


def _ecdsa_suite(name: str, curve: Curve) -> Suite:
    def verifying_key(point: bytes) -> VerifyingKey:
        return VerifyingKey.from_point(curve, point)

    def new_signer() -> MemorySigner:
        return MemorySigner(name, curve, ec.generate_private_key(curve.library_curve))

    def signer_of_scalar(scalar: bytes, *, reproducible: bool = False) -> MemorySigner:
        return MemorySigner(name, curve, private_key_of(curve, scalar), reproducible=reproducible)

    return Suite(
        name=name,
        curve=curve,
        signature_octets=SIGNATURE_OCTETS,
        verifying_key=verifying_key,
        new_signer=new_signer,
        signer_of_scalar=signer_of_scalar,
        new_one_time_key=lambda: OneTimeKey.generate(curve),
        one_time_key_of_scalar=lambda scalar: OneTimeKey.from_scalar(curve, scalar),
    )


ECDSA_P256: Final = _ecdsa_suite("ecdsa-p256-sha256", P256)
ECDSA_BRAINPOOL: Final = _ecdsa_suite("ecdsa-brainpoolp256r1-sha256", BRAINPOOL_P256)

SUITES: Final = {suite.name: suite for suite in (ECDSA_P256, ECDSA_BRAINPOOL)}
_BY_CURVE: Final = {suite.curve.name: suite for suite in SUITES.values()}


def suite_named(name: str) -> Suite:
    try:
        return SUITES[name]
    except KeyError:
        known = ", ".join(SUITES)
        raise Refused(f"there is no suite {name!r}; known are {known}", code="crypto.unknown_suite") from None


def suite_of_curve(curve: Curve) -> Suite:
    return _BY_CURVE[curve.name]


def verifying_key_of_spki(spki: bytes) -> VerifyingKey:
    """The key in a SubjectPublicKeyInfo (DER), such as EimConfigurationData or a certificate carries."""
    curve, point = split_spki(spki)
    return _BY_CURVE[curve.name].verifying_key(point)


def signer_of_key(library_key: ec.EllipticCurvePrivateKey) -> MemorySigner:
    """The `Signer` of a key object, such as a file or a certificate builder gives it."""
    curve = curve_named(library_key.curve.name)
    return MemorySigner(_BY_CURVE[curve.name].name, curve, library_key)
