"""Concealing a subscription identifier: ECIES profiles A and B (3GPP TS 33.501 annex C.3).

Pure: the ephemeral key is an argument. Imports `cryptography` and keim.errors only.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keim.errors import Refused

NULL_SCHEME, PROFILE_A, PROFILE_B = 0, 1, 2
SCALAR_OCTETS: Final = 32
_ENCRYPTION_KEY, _COUNTER_BLOCK, _MAC_KEY = slice(0, 16), slice(16, 32), slice(32, 64)
_MAC_OCTETS = 8
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def is_ephemeral_scalar(scheme: int, scalar: bytes) -> bool:
    """Whether the octets serve as a private key of the scheme's curve."""
    return scheme != PROFILE_B or 0 < int.from_bytes(scalar, "big") < P256_ORDER


def conceal(scheme: int, home_network_key: bytes, scalar: bytes, plain: bytes) -> bytes:
    """The scheme output: ephemeral public key, cipher text, tag. `Refused` for a key that is none."""
    if scheme == NULL_SCHEME:
        return plain
    try:
        public, shared = (_profile_a if scheme == PROFILE_A else _profile_b)(home_network_key, scalar)
    except ValueError as fault:
        raise Refused("the home network's public key is no point of the scheme's curve") from fault
    keys = _derived(shared, public)
    cipher = Cipher(algorithms.AES128(keys[_ENCRYPTION_KEY]), modes.CTR(keys[_COUNTER_BLOCK])).encryptor()
    hidden = cipher.update(plain) + cipher.finalize()
    return public + hidden + hmac.digest(keys[_MAC_KEY], hidden, "sha256")[:_MAC_OCTETS]


def _profile_a(home_network_key: bytes, scalar: bytes) -> tuple[bytes, bytes]:
    private = X25519PrivateKey.from_private_bytes(scalar)
    shared = private.exchange(X25519PublicKey.from_public_bytes(home_network_key))
    return private.public_key().public_bytes_raw(), shared


def _profile_b(home_network_key: bytes, scalar: bytes) -> tuple[bytes, bytes]:
    curve = ec.SECP256R1()
    peer = ec.EllipticCurvePublicKey.from_encoded_point(curve, home_network_key)
    private = ec.derive_private_key(int.from_bytes(scalar, "big"), curve)
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return public, private.exchange(ec.ECDH(), peer)


def _derived(shared: bytes, information: bytes) -> bytes:
    """ANSI X9.63 with SHA-256: 64 octets."""
    return b"".join(
        hashlib.sha256(shared + counter.to_bytes(4, "big") + information).digest() for counter in (1, 2)
    )
