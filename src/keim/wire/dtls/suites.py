"""Cipher suites and groups, in our order of preference (bindings §3.1). Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keim.wire.dtls.faults import illegal

Aead = AESGCM | AESCCM


class Suite(msgspec.Struct, frozen=True):
    number: int
    name: str
    exchange: Literal["ecdsa", "psk", "ecdhe_psk"]
    key_octets: int
    tag_octets: int
    hash_name: str
    is_ccm: bool

    def aead(self, key: bytes) -> Aead:
        return AESCCM(key, tag_length=self.tag_octets) if self.is_ccm else AESGCM(key)

    @property
    def key_block_octets(self) -> int:
        return 2 * self.key_octets + 8

    @property
    def has_agreement(self) -> bool:
        return self.exchange != "psk"


SUITES: Final = (
    Suite(0xC02B, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ecdsa", 16, 16, "sha256", False),
    Suite(0xC02C, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ecdsa", 32, 16, "sha384", False),
    Suite(0xC0AE, "ECDHE_ECDSA_WITH_AES_128_CCM_8", "ecdsa", 16, 8, "sha256", True),
    Suite(0xC0AC, "ECDHE_ECDSA_WITH_AES_128_CCM", "ecdsa", 16, 16, "sha256", True),
    Suite(0xD003, "ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", "ecdhe_psk", 16, 8, "sha256", True),
    Suite(0xD001, "ECDHE_PSK_WITH_AES_128_GCM_SHA256", "ecdhe_psk", 16, 16, "sha256", False),
    Suite(0xC0A8, "PSK_WITH_AES_128_CCM_8", "psk", 16, 8, "sha256", True),
    Suite(0xC0A4, "PSK_WITH_AES_128_CCM", "psk", 16, 16, "sha256", True),
    Suite(0x00A8, "PSK_WITH_AES_128_GCM_SHA256", "psk", 16, 16, "sha256", False),
)
SUITE_OF: Final = {suite.number: suite for suite in SUITES}
SUITE_NAMED: Final = {suite.name: suite for suite in SUITES}

SECP256R1: Final = 23
BRAINPOOL_P256R1: Final = 26
X25519: Final = 29
GROUPS: Final = (SECP256R1, BRAINPOOL_P256R1, X25519)

_CURVES: Final[dict[int, ec.EllipticCurve]] = {
    SECP256R1: ec.SECP256R1(),
    BRAINPOOL_P256R1: ec.BrainpoolP256R1(),
}
_GROUP_OF_CURVE: Final = {"secp256r1": SECP256R1, "brainpoolP256r1": BRAINPOOL_P256R1}
_ECDH: Final = ec.ECDH()


def group_of(key: ec.EllipticCurvePublicKey) -> int:
    """0 for a curve that no group of ours names."""
    return _GROUP_OF_CURVE.get(key.curve.name, 0)


def key_share(group: int) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A fresh public share, and the function that agrees with the peer's."""
    if group == X25519:
        return _x25519_share()
    curve = _CURVES[group]
    private = ec.generate_private_key(curve)
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def agree(peer: bytes) -> bytes:
        try:
            return private.exchange(_ECDH, ec.EllipticCurvePublicKey.from_encoded_point(curve, peer))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise illegal("the peer's point is not on the curve") from error

    return point, agree


def _x25519_share() -> tuple[bytes, Callable[[bytes], bytes]]:
    private = x25519.X25519PrivateKey.generate()

    def agree(peer: bytes) -> bytes:
        try:
            return private.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
        except ValueError as error:
            raise illegal("the peer's share is none") from error

    return private.public_key().public_bytes_raw(), agree
