"""Our own vectors are what the reference makes, and the reference agrees with published answers."""

from __future__ import annotations

from tests.vectors.own_vectors import FILE, text
from tests.vectors.reference import BRAINPOOL, P256, Key, cmac, sign, uncompressed


def test_the_file_is_what_the_reference_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text()


def test_no_scalar_is_written_into_the_file() -> None:
    content = FILE.read_text(encoding="utf-8")
    assert content.count('"private_scalar": "scalar-of:') == content.count('"private_scalar": "') > 50
    assert content.count('"otsk_euicc": "scalar-of:') == content.count('"otsk_euicc": "') > 10


def test_the_base_points_lie_on_their_curves_and_have_their_orders() -> None:
    for curve in (P256, BRAINPOOL):
        x, y = curve.g
        assert (y * y - x**3 - curve.a * x - curve.b) % curve.p == 0
        assert curve.add(curve.multiply(curve.n - 1), curve.g) is None


def test_the_reference_signs_as_rfc_6979_says() -> None:
    scalar = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    signer = Key(P256, "", scalar, uncompressed(P256.multiply(scalar)))
    assert sign(signer, b"test").hex() == (
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
        "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"
    )


def test_the_reference_computes_cmac_as_rfc_4493_says() -> None:
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"
    )
    assert cmac(key, b"").hex() == "bb1d6929e95937287fa37d129b756746"
    assert cmac(key, message[:16]).hex() == "070a16b46b4d4144f79bdd9dd04a287c"
    assert cmac(key, message).hex() == "dfa66747de9ae63030ca32611497c827"
