"""Two engines for ECDSA, one behaviour: what one refuses the other refuses, keys and signatures alike."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from keim.crypto import engine
from keim.crypto.curves import BRAINPOOL_P256, P256, Curve
from keim.crypto.ecdsa import point_of
from keim.crypto.faults import BadPublicKey

MESSAGE = b"0\x0eeuicc package"
KEY = ec.derive_private_key(42, P256.library_curve)
POINT = point_of(KEY.public_key())
SIGNATURE = KEY.sign(MESSAGE, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
N = int.from_bytes(P256.order, "big")


def by_aws_lc(point: bytes, curve: Curve = P256) -> engine.Verify:
    fast = engine.aws_lc()
    assert fast is not None, "the tests need the extra `fast`"
    return engine.by_aws_lc(fast, curve, point)


def by_cryptography(point: bytes) -> engine.Verify:
    return engine.by_cryptography(P256, point)


ENGINES = [by_aws_lc, by_cryptography]
each_engine = pytest.mark.parametrize("verifier", ENGINES, ids=["aws-lc", "cryptography"])
Verifier = Callable[[bytes], engine.Verify]


@each_engine
def test_a_signature_is_known(verifier: Verifier) -> None:
    is_genuine = verifier(POINT)
    assert is_genuine(SIGNATURE, MESSAGE)
    assert not is_genuine(SIGNATURE, MESSAGE + b"\0")
    assert not verifier(point_of(ec.derive_private_key(43, P256.library_curve).public_key()))(
        SIGNATURE, MESSAGE
    )


def test_each_engine_knows_what_the_other_has_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = engine.signer_of(KEY)
    monkeypatch.setattr(engine, "aws_lc", lambda: None)
    slow = engine.signer_of(KEY)
    assert fast(MESSAGE) != fast(MESSAGE), "the nonce is new each time"
    assert by_cryptography(POINT)(fast(MESSAGE), MESSAGE)
    monkeypatch.undo()
    assert by_aws_lc(POINT)(slow(MESSAGE), MESSAGE)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30",
        b"\x30\x00",
        SIGNATURE + b"\0",
        SIGNATURE[:-1],
        b"\x30\x80" + SIGNATURE[2:] + b"\0\0",
        b"\x30\x81" + SIGNATURE[1:],
        encode_dss_signature(0, 1),
        encode_dss_signature(1, 0),
        encode_dss_signature(N, 1),
        encode_dss_signature(1, N),
        encode_dss_signature(N + 1, N + 1),
        encode_dss_signature(1, 1),
        bytes.fromhex("30060201ff020101"),
        bytes.fromhex("300702020001020101"),
    ],
    ids=lambda signature: signature.hex()[:24] or "empty",
)
@each_engine
def test_what_is_no_signature_is_refused_without_a_trace(verifier: Verifier, signature: bytes) -> None:
    assert not verifier(POINT)(signature, MESSAGE)


@given(
    st.integers(0, len(SIGNATURE) - 1),
    st.binary(max_size=3),
    st.integers(0, 3),
    st.sampled_from([MESSAGE, MESSAGE[:-1]]),
)
def test_the_verdicts_on_bent_signatures_are_the_same(
    place: int, put: bytes, removed: int, message: bytes
) -> None:
    bent = SIGNATURE[:place] + put + SIGNATURE[place + removed :]
    verdict = by_cryptography(POINT)(bent, message)
    assert by_aws_lc(POINT)(bent, message) is verdict
    assert verdict is (bent == SIGNATURE and message == MESSAGE)


@given(st.binary(min_size=64, max_size=64), st.sampled_from([b"\x04", b"\x02", b"\x00", b""]))
def test_points_that_are_none_are_refused_alike(coordinates: bytes, first: bytes) -> None:
    _same_refusal(first + coordinates)


@pytest.mark.parametrize(
    "point",
    [
        b"",
        bytes(65),
        b"\x04" + bytes(64),
        POINT[:-1],
        POINT + b"\0",
        POINT[:-1] + bytes((POINT[-1] ^ 1,)),
        b"\x02" + POINT[1:33],
        b"\x04" + P256.prime.to_bytes(32, "big") + POINT[33:],
        point_of(ec.derive_private_key(42, BRAINPOOL_P256.library_curve).public_key()),
    ],
    ids=lambda point: point.hex()[:12] or "empty",
)
def test_each_fault_of_a_point_has_the_same_code(point: bytes) -> None:
    _same_refusal(point)


def _same_refusal(point: bytes) -> None:
    codes = []
    for verifier in ENGINES:
        with pytest.raises(BadPublicKey) as refusal:
            verifier(point)
        codes.append(refusal.value.code)
    assert codes[0] == codes[1]


def test_brainpool_is_never_asked_of_aws_lc(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked() -> None:
        raise AssertionError("AWS-LC does not have this curve")

    monkeypatch.setattr(engine, "aws_lc", asked)
    key = ec.derive_private_key(42, BRAINPOOL_P256.library_curve)
    signature = engine.signer_of(key)(MESSAGE)
    assert engine.verifier_of(BRAINPOOL_P256, point_of(key.public_key()))(signature, MESSAGE)
    with pytest.raises(BadPublicKey):
        engine.verifier_of(BRAINPOOL_P256, POINT)


def test_the_cache_of_points_is_bounded_and_keeps_no_refusal() -> None:
    for number in range(1, engine.KEYS_HELD + 40):
        engine.held_verifier(
            "secp256r1", point_of(ec.derive_private_key(number, P256.library_curve).public_key())
        )
    assert engine.held_verifier.cache_info().currsize <= engine.KEYS_HELD
    for _ in range(2):
        with pytest.raises(BadPublicKey):
            engine.held_verifier("secp256r1", POINT[:-1])


def test_no_engine_is_loaded_before_the_first_signature() -> None:
    program = (
        "import sys; from keim.crypto.suites import ECDSA_P256; key = ECDSA_P256.new_signer();"
        "assert 'awscrt' not in sys.modules; key.sign(b''); assert 'awscrt' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_the_extra_everything_works() -> None:
    program = (
        "import sys; sys.modules['awscrt'] = None; from keim.crypto import engine;"
        "from keim.crypto.suites import ECDSA_P256; key = ECDSA_P256.new_signer();"
        "ECDSA_P256.verifying_key(key.public_point).verify(key.sign(b'x'), b'x');"
        "assert engine.aws_lc() is None"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_processes_forked_after_the_first_signature_share_no_nonce() -> None:
    """Two signatures with one nonce give the key away; an eIM's workers are forks of one process."""
    program = (
        "import os; from cryptography.hazmat.primitives.asymmetric import ec; from keim.crypto import engine;"
        "sign = engine.signer_of(ec.derive_private_key(42, ec.SECP256R1())); sign(b'x');"
        "children = [pid for pid in (os.fork() for _ in range(3)) if pid];"
        "os.write(1, sign(b'x').hex().encode() + b'\\n'); [os.waitpid(pid, 0) for pid in children]"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    signatures = told.split()
    nonces = {bytes.fromhex(signature)[4:20] for signature in signatures}
    assert len(signatures) == len(nonces) == 8
