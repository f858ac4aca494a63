"""Milenage and TUAK against the test sets that 3GPP published in TS 35.208 (1-3) and TS 35.233 (1-6)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import pytest

from keim.crypto.aka import AkaAlgorithm, TestAlgorithm, autn, gsm_keys, xor
from keim.crypto.milenage import Milenage, opc
from keim.crypto.tuak import Tuak, keccak_f1600, topc


class Set(NamedTuple):
    name: str
    key: str
    rand: str
    sqn: str
    amf: str
    operator: str
    derived: str
    f1: str
    f1_star: str
    f2: str
    f3: str
    f4: str
    f5: str
    f5_star: str
    iterations: int = 1


MILENAGE = [
    Set(
        "35.208 set 1",
        "465b5ce8b199b49faa5f0a2ee238a6bc",
        "23553cbe9637a89d218ae64dae47bf35",
        "ff9bb4d0b607",
        "b9b9",
        "cdc202d5123e20f62b6d676ac72cb318",
        "cd63cb71954a9f4e48a5994e37a02baf",
        "4a9ffac354dfafb3",
        "01cfaf9ec4e871e9",
        "a54211d5e3ba50bf",
        "b40ba9a3c58b2a05bbf0d987b21bf8cb",
        "f769bcd751044604127672711c6d3441",
        "aa689c648370",
        "451e8beca43b",
    ),
    Set(
        "35.208 set 2",
        "0396eb317b6d1c36f19c1c84cd6ffd16",
        "c00d603103dcee52c4478119494202e8",
        "fd8eef40df7d",
        "af17",
        "ff53bade17df5d4e793073ce9d7579fa",
        "53c15671c60a4b731c55b4a441c0bde2",
        "5df5b31807e258b0",
        "a8c016e51ef4a343",
        "d3a628ed988620f0",
        "58c433ff7a7082acd424220f2b67c556",
        "21a8c1f929702adb3e738488b9f5c5da",
        "c47783995f72",
        "30f1197061c1",
    ),
    Set(
        "35.208 set 3",
        "fec86ba6eb707ed08905757b1bb44b8f",
        "9f7c8d021accf4db213ccff0c7f71a6a",
        "9d0277595ffc",
        "725c",
        "dbc59adcb6f9a0ef735477b7fadf8374",
        "1006020f0a478bf6b699f15c062e42b3",
        "9cabc3e99baf7281",
        "95814ba2b3044324",
        "8011c48c0c214ed2",
        "5dbdbb2954e8f3cde665b046179a5098",
        "59a92d3b476a0443487055cf88b2307b",
        "33484dc2136b",
        "deacdd848cc6",
    ),
]

K256 = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0"
TOP2 = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
TOPC2 = "305425427e18c503c8a4b294ea72c95d0c36c6c6b29d0c65de5974d5977f8524"
K5 = "1574ca56881d05c189c82880f789c9cd4244955f4426aa2b69c29f15770e5aa5"
TOP5 = "e59f6eb10ea406813f4991b0b9e02f181edf4c7e17b480f66d34da35ee88c95e"

TUAK = [
    Set(
        "35.233 set 1",
        "ab" * 16,
        "42" * 16,
        "11" * 6,
        "ffff",
        "55" * 32,
        "bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff",
        "f9a54e6aeaa8618d",
        "e94b4dc6c7297df3",
        "657acd64",
        "d71a1e5c6caffe986a26f783e5c78be1",
        "be849fa2564f869aecee6f62d4337e72",
        "719f1e9b9054",
        "e7af6b3d0e38",
    ),
    Set(
        "35.233 set 2",
        K256,
        "0123456789abcdef" * 2,
        "0123456789ab",
        "abcd",
        TOP2,
        TOPC2,
        "c0b8c2d4148ec7aa5f1d78a97e4d1d58",
        "ef81af7290f7842c6ceafa537fa0745b",
        "e9d749dc4eea0035",
        "a4cb6f6529ab17f8337f27baa8234d47",
        "2274155ccf4199d5e2abcbf621907f90",
        "480a9345cc1e",
        "f84eb338848c",
    ),
    Set(
        "35.233 set 3",
        K256,
        "0123456789abcdef" * 2,
        "0123456789ab",
        "abcd",
        TOP2,
        TOPC2,
        "d97b75a1776065271b1e212bc3b1bf173f438b21e6c64a55a96c372e085e5cc5",
        "427bbf07c6e3a86c54f8c5216499f3909a6fd4a164c9fe235b1550258111b821",
        "07021c73e7635c7d",
        "4d59ac796834eb85d11fa148a5058c3c",
        "126d47500136fdc5ddfd14f19ebf16749ce4b6435323fbb5715a3a796a6082bd",
        "1d6622c4e59a",
        "f84eb338848c",
    ),
    Set(
        "35.233 set 4",
        "b8da837a50652d6ac7c97da14f6acc61",
        "6887e55425a966bd86c9661a5fa72be8",
        "0dea2ee2c5af",
        "df1e",
        "0952be13556c32ebc58195d9dd930493e12a9003669988ffde5fa1f0fe35cc01",
        "2bc16eb657a68e1f446f08f57c0efb1d493527a2e652ce281eb6ca0e4487760a",
        "749214087958dd8f58bfcdf869d8ae3f",
        "619e865afe80e382aee13063f9dfb56d",
        "4041ce438e3e38e8aa96562eed83ac43",
        "3e3bc01bea0cd914c4c2c83ce2d92757",
        "666a8e6f577b1aa77b7fd53cebb8a3d6",
        "1f880d005119",
        "45e617d77fe5",
    ),
    Set(
        "35.233 set 5",
        K5,
        "c570aac68cde651fb1e3088322498bef",
        "c89bb71f3a41",
        "297d",
        TOP5,
        "3c6052e41532a28a47aa3cbb89f223e8f3aaa976aecd48bc3e7d6165a55eff62",
        "d7340dad02b4cb01",
        "c6021e2e66accb15",
        "84d89b41db1867ffd4c7ba1d82163f4d526a20fbae5418fbb526940b1eeb905c",
        "d419676afe5ab58c1d8bee0d43523a4d2f52ef0b31a4676a0c334427a988fe65",
        "205533e505661b61d05cc0eac87818f4",
        "d7b3d2d4980a",
        "ca9655264986",
    ),
    Set(
        "35.233 set 6",
        K5,
        "c570aac68cde651fb1e3088322498bef",
        "c89bb71f3a41",
        "297d",
        TOP5,
        "b04a66f26c62fcd6c82de22a179ab65506ecf47f56245cd149966cfa9cec7a51",
        "90d2289ed1ca1c3dbc2247bb480d431ac71d2e4a7677f6e997cfddb0cbad88b7",
        "427355dbac30e825063aba61b556e87583abac638e3ab01c4c884ad9d458dc2f",
        "d67e6e64590d22eecba7324afa4af4460c93f01b24506d6e12047d789a94c867",
        "ede57edfc57cdffe1aae75066a1b7479bbc3837438e88d37a801cccc9f972b89",
        "48ed9299126e5057402fe01f9201cf25249f9c5c0ed2afcf084755daff1d3999",
        "6aae8d18c448",
        "8c5f33b61f4e",
        2,
    ),
]


def check(algorithm: AkaAlgorithm, expected: Set) -> None:
    rand, sqn, amf = (bytes.fromhex(text) for text in (expected.rand, expected.sqn, expected.amf))
    vector = algorithm.f2345(rand)
    assert algorithm.f1(rand, sqn, amf).hex() == expected.f1
    assert algorithm.f1_star(rand, sqn, amf).hex() == expected.f1_star
    assert vector.res.hex() == expected.f2
    assert vector.ck.hex() == expected.f3
    assert vector.ik.hex() == expected.f4
    assert vector.ak.hex() == expected.f5
    assert algorithm.f5_star(rand).hex() == expected.f5_star


@pytest.mark.parametrize("expected", MILENAGE, ids=lambda expected: expected.name)
def test_milenage_gives_the_published_values(expected: Set) -> None:
    key = bytes.fromhex(expected.key)
    derived = opc(key, bytes.fromhex(expected.operator))
    assert derived.hex() == expected.derived
    check(Milenage(key, derived), expected)


@pytest.mark.parametrize("expected", TUAK, ids=lambda expected: expected.name)
def test_tuak_gives_the_published_values(expected: Set) -> None:
    key = bytes.fromhex(expected.key)
    derived = topc(key, bytes.fromhex(expected.operator), expected.iterations)
    assert derived.hex() == expected.derived
    algorithm = Tuak(
        key,
        derived,
        iterations=expected.iterations,
        mac_length=len(expected.f1) // 2,
        res_length=len(expected.f2) // 2,
        ck_length=len(expected.f3) // 2,
        ik_length=len(expected.f4) // 2,
    )
    check(algorithm, expected)


@pytest.mark.parametrize("message", [b"", b"keim", bytes(range(135))])
def test_the_permutation_is_the_one_of_sha3(message: bytes) -> None:
    """SHA3-256 of one block by hand must be what the standard library computes."""
    block = bytearray(message.ljust(136, b"\0"))
    block[len(message)] ^= 0x06
    block[135] ^= 0x80
    assert keccak_f1600(bytes(block) + bytes(64))[:32] == hashlib.sha3_256(message).digest()


def test_the_test_algorithm_is_built_from_key_xor_rand() -> None:
    key, rand = bytes(range(16)), bytes.fromhex("0f" * 16)
    out = xor(key, rand)
    algorithm = TestAlgorithm(key, 16)
    vector = algorithm.f2345(rand)
    assert vector.res == out
    assert vector.ck == out[1:] + out[:1]
    assert vector.ik == out[2:] + out[:2]
    assert vector.ak == out[3:9]
    assert algorithm.f1(rand, bytes(6), bytes(2)) == out[:8]
    assert len(TestAlgorithm(key).f2345(rand).res) == 8


def test_autn_hides_the_sequence_number_and_carries_the_mac() -> None:
    expected = MILENAGE[0]
    algorithm = Milenage(bytes.fromhex(expected.key), bytes.fromhex(expected.derived))
    token = autn(algorithm, *(bytes.fromhex(t) for t in (expected.rand, expected.sqn, expected.amf)))
    assert token.hex() == "55f328b43577" + "b9b9" + expected.f1


def test_gsm_values_of_set_1_are_the_published_ones() -> None:
    """TS 35.208 set 1 prints SRES and Kc of the same input for GSM-MILENAGE."""
    expected = MILENAGE[0]
    algorithm = Milenage(bytes.fromhex(expected.key), bytes.fromhex(expected.derived))
    sres, key = gsm_keys(algorithm.f2345(bytes.fromhex(expected.rand)))
    assert sres.hex() == "46f8416a"
    assert key.hex() == "eae4be823af9a08b"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Milenage(bytes(15), bytes(16)),
        lambda: Milenage(bytes(16), bytes(32)),
        lambda: Tuak(bytes(24), bytes(32)),
        lambda: Tuak(bytes(16), bytes(16)),
        lambda: Tuak(bytes(16), bytes(32), iterations=0),
        lambda: Tuak(bytes(16), bytes(32), res_length=12),
        lambda: Tuak(bytes(16), bytes(32), ck_length=24),
    ],
)
def test_wrong_sizes_are_refused(make: Callable[[], AkaAlgorithm]) -> None:
    with pytest.raises(ValueError, match=r"needs|length"):
        make()


def test_keys_are_never_shown() -> None:
    key = bytes.fromhex("aa" * 16)
    for algorithm in (Milenage(key, key), Tuak(key, key * 2), TestAlgorithm(key)):
        assert "aa" not in repr(algorithm)
        assert "***" in repr(algorithm)
