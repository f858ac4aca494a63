"""Signatures: everything that is not r || s with 0 < r, s < n over these octets is refused, and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keim.crypto import engine
from keim.crypto.curves import BRAINPOOL_P256, P256, Curve
from keim.crypto.ecdsa import (
    MemorySigner,
    VerifyingKey,
    der_of_raw,
    private_key_of,
    raw_of_library_der,
    raw_of_peer_der,
)
from keim.crypto.suites import ECDSA_BRAINPOOL, ECDSA_P256, SUITES, Suite, suite_named
from keim.errors import BadSignature, Refused

MESSAGE = b"0\x0eeuicc package"
suites = pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))
Bend = Callable[[bytes, bytes], bytes]


@pytest.fixture(params=["aws-lc", "cryptography"], autouse=True)
def _each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test here, with the extra `fast` and without it."""
    if request.param == "cryptography":
        monkeypatch.setattr(engine, "aws_lc", lambda: None)
    engine.held_verifier.cache_clear()
    yield
    engine.held_verifier.cache_clear()


def order_of(suite: Suite) -> int:
    return int.from_bytes(suite.curve.order, "big")


def halves(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def raw(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


ZERO, ONES = bytes(32), b"\xff" * 32

BENT: list[tuple[str, Bend, str]] = [
    ("empty", lambda sig, n: b"", "crypto.signature_form"),
    ("one octet short", lambda sig, n: sig[:-1], "crypto.signature_form"),
    ("one octet short in front", lambda sig, n: sig[1:], "crypto.signature_form"),
    ("one octet long", lambda sig, n: sig + b"\0", "crypto.signature_form"),
    ("a zero in front", lambda sig, n: b"\0" + sig, "crypto.signature_form"),
    ("r alone", lambda sig, n: sig[:32], "crypto.signature_form"),
    ("twice", lambda sig, n: sig + sig, "crypto.signature_form"),
    ("as TLV 5F37", lambda sig, n: b"\x5f\x37\x40" + sig, "crypto.signature_form"),
    ("as DER", lambda sig, n: der_of_raw(sig), "crypto.signature_form"),
    ("hexadecimal text", lambda sig, n: sig.hex().encode(), "crypto.signature_form"),
    ("r zero", lambda sig, n: ZERO + sig[32:], "crypto.signature_range"),
    ("s zero", lambda sig, n: sig[:32] + ZERO, "crypto.signature_range"),
    ("both zero", lambda sig, n: ZERO + ZERO, "crypto.signature_range"),
    ("r is n", lambda sig, n: n + sig[32:], "crypto.signature_range"),
    ("s is n", lambda sig, n: sig[:32] + n, "crypto.signature_range"),
    ("both are n", lambda sig, n: n + n, "crypto.signature_range"),
    ("r is all ones", lambda sig, n: ONES + sig[32:], "crypto.signature_range"),
    ("s is all ones", lambda sig, n: sig[:32] + ONES, "crypto.signature_range"),
    ("r is n + 1", lambda sig, n: n[:-1] + bytes((n[-1] + 1,)) + sig[32:], "crypto.signature_range"),
    ("r is n - 1", lambda sig, n: n[:-1] + bytes((n[-1] - 1,)) + sig[32:], "crypto.bad_signature"),
    ("s is n - 1", lambda sig, n: sig[:32] + n[:-1] + bytes((n[-1] - 1,)), "crypto.bad_signature"),
    ("r and s are one", lambda sig, n: raw(1, 1), "crypto.bad_signature"),
    ("halves swapped", lambda sig, n: sig[32:] + sig[:32], "crypto.bad_signature"),
    ("octets reversed", lambda sig, n: sig[::-1], "crypto.bad_signature"),
    ("first bit", lambda sig, n: bytes((sig[0] ^ 1,)) + sig[1:], "crypto.bad_signature"),
    ("last bit", lambda sig, n: sig[:-1] + bytes((sig[-1] ^ 1,)), "crypto.bad_signature"),
]


def sample(suite: Suite) -> tuple[MemorySigner, bytes]:
    """A fixed signature whose r and s survive the bends above (r + n, swaps) on both curves."""
    signer = suite.signer_of_scalar(bytes(31) + b"\x2a", reproducible=True)
    return signer, signer.sign(MESSAGE)


@suites
@pytest.mark.parametrize(("bend", "code"), [case[1:] for case in BENT], ids=[case[0] for case in BENT])
def test_a_bent_signature_is_refused(suite: Suite, bend: Bend, code: str) -> None:
    signer, signature = sample(suite)
    key = suite.verifying_key(signer.public_point)
    key.verify(signature, MESSAGE)
    with pytest.raises(BadSignature) as refusal:
        key.verify(bend(signature, suite.curve.order), MESSAGE)
    if code == "crypto.bad_signature":
        assert refusal.value.code in (code, "crypto.signature_range")  # swapped halves may exceed n
    else:
        assert refusal.value.code == code
    assert not key.accepts(bend(signature, suite.curve.order), MESSAGE)


def test_r_plus_n_is_refused_although_it_is_the_same_residue() -> None:
    """A verifier that reduces r modulo n would take it. Only brainpool's n leaves room for r + n in 32 octets
    (on P-256 such an r comes up once in 2**32 signatures)."""
    suite, n = ECDSA_BRAINPOOL, order_of(ECDSA_BRAINPOOL)
    signer, _ = sample(suite)
    key = suite.verifying_key(signer.public_point)
    messages = (number.to_bytes(4, "big") for number in range(200))
    message, r, s = next(
        (message, r, s)
        for message, (r, s) in ((m, halves(signer.sign(m))) for m in messages)
        if r + n < 2**256
    )
    key.verify(raw(r, s), message)
    with pytest.raises(BadSignature) as refusal:
        key.verify(raw(r + n, s), message)
    assert refusal.value.code == "crypto.signature_range"


@suites
def test_high_and_low_s_are_both_accepted(suite: Suite) -> None:
    signer, signature = sample(suite)
    key = suite.verifying_key(signer.public_point)
    r, s = halves(signature)
    key.verify(raw(r, order_of(suite) - s), MESSAGE)
    key.verify(raw(r, s), MESSAGE)


@suites
@pytest.mark.parametrize("message", [b"", MESSAGE[:-1], MESSAGE + b"\0", MESSAGE[::-1]])
def test_another_message_is_refused(suite: Suite, message: bytes) -> None:
    signer, signature = sample(suite)
    with pytest.raises(BadSignature) as refusal:
        suite.verifying_key(signer.public_point).verify(signature, message)
    assert refusal.value.code == "crypto.bad_signature"


@suites
def test_another_key_is_refused(suite: Suite) -> None:
    _, signature = sample(suite)
    assert not suite.verifying_key(suite.new_signer().public_point).accepts(signature, MESSAGE)


def test_a_key_of_the_other_curve_is_refused() -> None:
    _, signature = sample(ECDSA_P256)
    other = ECDSA_BRAINPOOL.signer_of_scalar(bytes(31) + b"\x2a")
    assert not ECDSA_BRAINPOOL.verifying_key(other.public_point).accepts(signature, MESSAGE)


class TestDerAsAnOption:
    """Only an eIM sets `accept_der`, for mocks of cards; strict DER, and the same ranges."""

    @suites
    def test_strict_der_is_accepted_on_request_only(self, suite: Suite) -> None:
        signer, signature = sample(suite)
        key = suite.verifying_key(signer.public_point)
        key.verify(der_of_raw(signature), MESSAGE, accept_der=True)
        key.verify(signature, MESSAGE, accept_der=True)
        assert not key.accepts(der_of_raw(signature), MESSAGE)

    @pytest.mark.parametrize(
        ("der", "code"),
        [
            ("3006020101020101", "crypto.bad_signature"),
            ("3006020100020101", "crypto.signature_range"),
            ("3006020101020100", "crypto.signature_range"),
            ("30060201ff020101", "crypto.signature_form"),  # negative
            ("300702020001020101", "crypto.signature_form"),  # padded integer
            ("308106020101020101", "crypto.signature_form"),  # padded length
            ("3080020101020101", "crypto.signature_form"),  # indefinite
            ("300602010102010100", "crypto.signature_form"),  # trailing octet
            ("3009020101020101020101", "crypto.signature_form"),  # three numbers
            ("3003020101", "crypto.signature_form"),  # one number
            ("30", "crypto.signature_form"),
            ("3026022101" + "00" * 32 + "020101", "crypto.signature_form"),  # r of 33 octets
        ],
    )
    def test_other_der_is_refused(self, der: str, code: str) -> None:
        signer, _ = sample(ECDSA_P256)
        with pytest.raises(BadSignature) as refusal:
            ECDSA_P256.verifying_key(signer.public_point).verify(bytes.fromhex(der), MESSAGE, accept_der=True)
        assert refusal.value.code == code

    def test_der_that_happens_to_have_64_octets_is_read_as_raw(self) -> None:
        """Length decides: 64 octets are r || s, whatever they begin with."""
        der = encode_dss_signature(2**223 - 1, 2**239 - 1)
        assert len(der) == 64
        signer, _ = sample(ECDSA_P256)
        with pytest.raises(BadSignature) as refusal:
            ECDSA_P256.verifying_key(signer.public_point).verify(der, MESSAGE, accept_der=True)
        assert refusal.value.code == "crypto.bad_signature"


@pytest.mark.parametrize(
    ("r", "s"),
    [
        (1, 1),
        (0x7F, 0x80),
        (0x80, 0x7F),
        (0xFF, 0x100),
        (2**248 - 1, 2**247),
        (2**255, 2**255 - 1),
        (2**256 - 1, 2**256 - 1),
        (int.from_bytes(P256.order, "big") - 1, 1),
    ],
)
def test_the_sliced_conversions_are_those_of_the_library(r: int, s: int) -> None:
    der = encode_dss_signature(r, s)
    assert der_of_raw(raw(r, s)) == der
    assert raw_of_library_der(der) == raw(r, s) == raw_of_peer_der(der)
    assert decode_dss_signature(der_of_raw(raw(r, s))) == (r, s)


@pytest.mark.parametrize("curve", [P256, BRAINPOOL_P256], ids=lambda curve: curve.name)
@pytest.mark.parametrize("bend", ["zero", "n", "above n", "short", "long", "empty"])
def test_a_private_scalar_outside_of_the_group_is_refused_and_not_shown(curve: Curve, bend: str) -> None:
    n = int.from_bytes(curve.order, "big")
    scalar = {
        "zero": bytes(32),
        "n": curve.order,
        "above n": (n + 1).to_bytes(32, "big"),
        "short": b"\x01" * 31,
        "long": b"\x01" * 33,
        "empty": b"",
    }[bend]
    with pytest.raises(Refused) as refusal:
        private_key_of(curve, scalar)
    assert refusal.value.code == "crypto.private_key_range"
    assert not scalar or scalar.hex() not in str(refusal.value)
    private_key_of(curve, (n - 1).to_bytes(32, "big"))


@suites
def test_reproducible_signatures_are_those_of_rfc_6979(suite: Suite) -> None:
    first, second = (suite.signer_of_scalar(b"\x05" * 32, reproducible=True) for _ in range(2))
    assert first.sign(MESSAGE) == second.sign(MESSAGE)
    usual = suite.signer_of_scalar(b"\x05" * 32)
    assert usual.sign(MESSAGE) != usual.sign(MESSAGE)


def test_rfc_6979_appendix_a_2_5() -> None:
    """The published example for P-256 with SHA-256 and the message "sample"."""
    scalar = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
    signer = ECDSA_P256.signer_of_scalar(scalar, reproducible=True)
    assert signer.sign(b"sample").hex() == (
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )


def test_a_suite_is_found_by_its_name_only() -> None:
    assert suite_named("ecdsa-p256-sha256") is ECDSA_P256
    for name in ("ECDSA-P256-SHA256", "secp256r1", "", "ml-dsa-65"):
        with pytest.raises(Refused) as refusal:
            suite_named(name)
        assert refusal.value.code == "crypto.unknown_suite"


def test_a_held_key_and_a_cached_one_judge_alike() -> None:
    signer, signature = sample(ECDSA_P256)
    for key in (VerifyingKey(P256, signer.public_point), VerifyingKey.from_point(P256, signer.public_point)):
        key.verify(signature, MESSAGE)
        assert not key.accepts(signature, MESSAGE + b"\0")
