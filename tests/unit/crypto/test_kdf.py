"""Derivation of keys: the rules that other implementations got wrong, and parameters for larger keys."""

from __future__ import annotations

import hashlib

import pytest

from keim.crypto.confirmation import confirmation_code_hash, hash_cc, is_confirmed
from keim.crypto.kdf import derive_session_keys, shared_info, x963
from keim.crypto.secrets import Secret
from keim.errors import Unencodable
from keim.ids import Eid

EID = Eid("89049032123451234512345678901235")


def test_the_eid_enters_as_sixteen_octets_and_never_as_digits() -> None:
    assert shared_info(b"host", EID.octets).hex() == "881004" + b"host".hex() + "10" + EID
    for wrong in (EID.encode(), EID.octets[:-1], b""):
        with pytest.raises(Unencodable):
            shared_info(b"host", wrong)


@pytest.mark.parametrize("host_id", [b"", bytes(17)])
def test_a_host_id_has_one_to_sixteen_octets(host_id: bytes) -> None:
    with pytest.raises(Unencodable):
        shared_info(host_id, EID.octets)
    assert shared_info(bytes(16), EID.octets)[2] == 16


def test_x963_counts_from_one_and_cuts() -> None:
    blocks = [hashlib.sha256(b"z" + bytes((0, 0, 0, i)) + b"info").digest() for i in (1, 2, 3)]
    for octets in (1, 31, 32, 33, 48, 64, 65, 96):
        assert x963(b"z", b"info", octets) == b"".join(blocks)[:octets]
    assert x963(b"z", b"info", 48, hash_name="sha384") == hashlib.sha384(b"z\0\0\0\1info").digest()


def test_larger_keys_need_no_other_code() -> None:
    keys = derive_session_keys(Secret(bytes(32)), host_id=b"host", eid=EID.octets, key_length=0x20)
    assert [len(part) for part in (keys.initial_mac_chaining_value, keys.s_enc, keys.s_mac)] == [16, 32, 32]
    info = shared_info(b"host", EID.octets, key_length=0x20)
    assert keys.initial_mac_chaining_value + keys.s_enc + keys.s_mac == x963(bytes(32), info, 80)


def test_a_confirmation_code_is_hashed_as_typed() -> None:
    transaction_id = bytes.fromhex("8994f367c09d7f6269b7146d26b7b93c")
    code_hash = confirmation_code_hash("12345678")
    expected = "1ad4bdcd4ed8e3b42d3daaac6e8762c105ed4600d8be235d658ae6cd358efd19"
    assert hash_cc(code_hash, transaction_id).hex() == expected
    assert not is_confirmed(bytes.fromhex(expected), code_hash, bytes(16))
    assert not is_confirmed(b"", code_hash, transaction_id)
    assert not is_confirmed(bytes.fromhex(expected), confirmation_code_hash("12345679"), transaction_id)
    assert confirmation_code_hash("é").reveal() == hashlib.sha256(b"\xc3\xa9").digest()
