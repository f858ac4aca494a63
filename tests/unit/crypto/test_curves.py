"""Public points: only 04 || x || y on the curve is taken, each other thing has its own code."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keim.crypto.curves import (
    BRAINPOOL_P256,
    CURVES,
    P256,
    Curve,
    curve_named,
    split_spki,
)
from keim.crypto.faults import BadPublicKey
from keim.crypto.suites import SUITES, Suite, verifying_key_of_spki

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def point_on(curve: Curve) -> bytes:
    return public_point(ec.derive_private_key(7, curve.library_curve))


def compressed(curve: Curve) -> bytes:
    return (
        ec.derive_private_key(7, curve.library_curve)
        .public_key()
        .public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    )


@suites
def test_each_bad_point_has_its_own_code(suite: Suite) -> None:
    good = point_on(suite.curve)
    other = point_on(BRAINPOOL_P256 if suite.curve is P256 else P256)
    prime_like = b"\xff" * 32
    bad = {
        "crypto.point_at_infinity": [b"\0", bytes(65)],
        "crypto.point_compressed": [compressed(suite.curve), b"\x02" + good[1:33], b"\x03" + bytes(32)],
        "crypto.point_form": [
            b"",
            b"\x04",
            good[1:],
            good[:-1],
            good + b"\0",
            b"\x06" + good[1:],  # hybrid
            b"\x07" + good[1:],
            b"\x05" + good[1:],
            b"\x5f\x49\x41" + good,
            suite.curve.spki(good),
        ],
        "crypto.point_not_on_curve": [
            other,
            good[:-1] + bytes((good[-1] ^ 1,)),
            good[:1] + good[33:] + good[1:33],
            b"\x04" + bytes(64),
            b"\x04" + prime_like + prime_like,
            b"\x04" + bytes(63) + b"\x01",
        ],
    }
    for code, points in bad.items():
        for point in points:
            for use in (suite.verifying_key, suite.new_one_time_key().agree):
                with pytest.raises(BadPublicKey) as refusal:
                    use(point)
                assert refusal.value.code == code, point.hex()


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_our_arithmetic_knows_the_points_that_the_library_knows(curve: Curve) -> None:
    good = [
        public_point(ec.derive_private_key(scalar, curve.library_curve))
        for scalar in (*range(1, 40), int.from_bytes(curve.order, "big") - 1)
    ]
    bent = [bytes(o ^ (1 << i % 8) if n == 1 + i else o for n, o in enumerate(good[i])) for i in range(40)]
    x, y = good[6][1:33], int.from_bytes(good[6][33:], "big")
    beyond = [
        b"\x04" + (int.from_bytes(x, "big") + curve.prime).to_bytes(33, "big")[-32:] + good[6][33:],
        b"\x04" + x + (y + curve.prime).to_bytes(33, "big")[-32:],
        b"\x04" + curve.prime.to_bytes(32, "big") + good[6][33:],
        b"\x04" + bytes(64),
        b"\x04" + b"\xff" * 64,
    ]
    mirrored = b"\x04" + x + (curve.prime - y).to_bytes(32, "big")
    other = [point_on(known) for known in CURVES if known is not curve]
    for point in (*good, mirrored, *bent, *beyond, *other):
        assert curve.has_point(point[1:]) == is_known_to_library(curve, point), point.hex()
    assert all(curve.has_point(point[1:]) for point in (*good, mirrored))
    assert not any(curve.has_point(point[1:]) for point in (*beyond, *other))


def is_known_to_library(curve: Curve, point: bytes) -> bool:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(curve.library_curve, point)
    except ValueError:
        return False
    return True


@suites
def test_a_good_point_is_taken_and_given_back(suite: Suite) -> None:
    point = point_on(suite.curve)
    assert suite.verifying_key(point).point == point
    assert suite.one_time_key_of_scalar(bytes(31) + b"\x07").public_point == point


@suites
def test_a_one_time_key_survives_as_its_scalar(suite: Suite) -> None:
    first, peer = suite.new_one_time_key(), suite.new_one_time_key()
    again = suite.one_time_key_of_scalar(first.scalar.reveal())
    assert again.public_point == first.public_point
    assert again.agree(peer.public_point) == first.agree(peer.public_point) == peer.agree(first.public_point)
    assert len(first.scalar) == 32


@suites
def test_the_shared_secret_keeps_its_leading_zeros(suite: Suite) -> None:
    fixed = suite.one_time_key_of_scalar(bytes(31) + b"\x07")
    secrets = [
        fixed.agree(suite.one_time_key_of_scalar(number.to_bytes(32, "big")).public_point)
        for number in range(1, 400 if suite.curve is P256 else 30)
    ]
    assert {len(secret) for secret in secrets} == {32}
    if suite.curve is P256:
        assert any(secret.reveal()[0] == 0 for secret in secrets)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_the_table_of_curves_is_the_librarys(curve: Curve) -> None:
    key = ec.derive_private_key(7, curve.library_curve).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki == curve.spki(point_on(curve))
    assert split_spki(spki) == (curve, point_on(curve))
    assert verifying_key_of_spki(spki).curve is curve
    assert curve_named(curve.name) is curve
    n = int.from_bytes(curve.order, "big")
    negative = ec.derive_private_key(n - 7, curve.library_curve).public_key().public_numbers()
    assert negative.x == key.public_numbers().x  # (n - 7)G = -7G: the order is right
    assert curve.library_curve.name == curve.name


def test_a_key_of_another_kind_is_refused() -> None:
    keys = [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ed25519.Ed25519PrivateKey.generate().public_key(),
        rsa.generate_private_key(65537, 1024).public_key(),
    ]
    for key in keys:
        with pytest.raises(BadPublicKey) as refusal:
            verifying_key_of_spki(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        assert refusal.value.code == "crypto.wrong_curve"
    for curve in CURVES:
        compressed_spki = (
            bytes.fromhex("3039") + curve.spki_prefix[2:-3] + b"\x03\x22\x00" + compressed(curve)
        )
        with pytest.raises(BadPublicKey) as refusal:
            verifying_key_of_spki(compressed_spki)
        assert refusal.value.code == "crypto.point_compressed"
    for nonsense in (b"", b"\x30", P256.spki_prefix, P256.spki(point_on(P256)) + b"\0"):
        with pytest.raises(BadPublicKey):
            verifying_key_of_spki(nonsense)
    with pytest.raises(BadPublicKey):
        curve_named("secp384r1")
