"""The place for another suite is one row: a hybrid one, made here, binds and opens a profile.

It is no standard and no part of keim: P-256 with ML-KEM-768 for the keys, ML-DSA-65 for the signature. What
it shows is told in docs/explanation/post-quantum.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from keim.crypto import suites
from keim.crypto.agreement import OneTimeKey
from keim.crypto.bpp import binding, profile_protection_keys, protect_profile
from keim.crypto.bpp_events import BppFault, BppSession
from keim.crypto.bpp_whole import open_bpp
from keim.crypto.curves import P256, POINT_OCTETS
from keim.crypto.secrets import Secret
from keim.deciding import alone
from keim.errors import BadSignature

mldsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.mldsa")
mlkem = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.mlkem")

NAME = "experimental-p256-mlkem768-mldsa65"


class LatticeSigner:
    algorithm = NAME

    def __init__(self) -> None:
        self._key = mldsa.MLDSA65PrivateKey.generate()
        self.public_point = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        signature: bytes = self._key.sign(message)
        return signature


class LatticeVerifyingKey:
    def __init__(self, public: bytes) -> None:
        self._key = mldsa.MLDSA65PublicKey.from_public_bytes(public)

    def verify(self, signature: bytes, message: bytes) -> None:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise BadSignature("the signature does not belong to this message and key") from None


class HybridKey:
    """Both halves. The card announces an encapsulation key, the server answers with a ciphertext."""

    curve = P256

    def __init__(self, classical: OneTimeKey, lattice: Any) -> None:
        self._classical, self._lattice = classical, lattice
        self.public_point = classical.public_point
        if lattice is not None:
            self.public_point += lattice.public_key().public_bytes_raw()

    @property
    def scalar(self) -> Secret:
        assert self._lattice is not None
        return Secret(self._classical.scalar.reveal() + self._lattice.private_bytes_raw())

    def agree(self, peer: bytes) -> Secret:
        point, other = peer[:POINT_OCTETS], peer[POINT_OCTETS:]
        if self._lattice is None:
            z, cipher_text = mlkem.MLKEM768PublicKey.from_public_bytes(other).encapsulate()
            self.public_point += cipher_text
        else:
            z = self._lattice.decapsulate(other)
        return Secret(self._classical.agree(point).reveal() + z)


def card_key(octets: bytes | None = None) -> HybridKey:
    if octets is None:
        return HybridKey(OneTimeKey.generate(P256), mlkem.MLKEM768PrivateKey.generate())
    lattice = mlkem.MLKEM768PrivateKey.from_seed_bytes(octets[32:])
    return HybridKey(OneTimeKey.from_scalar(P256, octets[:32]), lattice)


@pytest.fixture
def experimental(monkeypatch: pytest.MonkeyPatch) -> None:
    row = suites.Suite(
        name=NAME,
        curve=P256,
        signature_octets=3309,
        verifying_key=LatticeVerifyingKey,
        new_signer=LatticeSigner,
        signer_of_scalar=LatticeSigner,
        new_one_time_key=lambda: HybridKey(OneTimeKey.generate(P256), None),
        one_time_key_of_scalar=card_key,
    )
    monkeypatch.setitem(suites.SUITES, NAME, row)


@pytest.mark.usefixtures("experimental")
def test_a_hybrid_suite_is_one_more_row() -> None:
    signer, own = LatticeSigner(), card_key()
    session = BppSession(
        suite=NAME,
        transaction_id=bytes(16),
        eid=bytes(16),
        one_time_scalar=own.scalar,
        dppb_point=signer.public_point,
    )
    upp = bytes(range(256)) * 10
    for profile in (upp, protect_profile(upp, profile_protection_keys(bytes(48)))):
        bpp = alone(
            binding(
                profile,
                store_metadata=b"\xbf\x25\x00",
                transaction_id=bytes(16),
                host_id=b"host",
                eid=bytes(16),
                euicc_otpk=own.public_point,
                signer=signer,
            )
        )
        assert open_bpp(session, bpp).upp == upp
        bent = bytearray(bpp)
        bent[200] ^= 1  # in the server's public value, which smdpSign covers
        with pytest.raises(BppFault) as fault:
            open_bpp(session, bytes(bent))
        assert (fault.value.command, fault.value.reason) == (0, 2)
