"""GET IDENTITY: the USIM conceals the IMSI, and the home network can undo it."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.shared import needs_shared
from tests.unit.euicc.cards import new_card, profile, select, select_usim, send

from keim.der import tlv
from keim.euicc.card import Card
from keim.saip import ANY_CARD, Ef, Package, edit, instantiate

TS48 = "TS48v5_SAIP2.3_BERTLV_SUCI.der"
INFO, ROUTING = "ADF.USIM/5FD0/4F01", "ADF.USIM/5FC0/4F0A"
PIN = "0830303030FFFFFFFF"
GET_IDENTITY = "80780001"
HOME = X25519PrivateKey.from_private_bytes(b"\x07" * 32)

pytestmark = needs_shared


def suci_info(*schemes: tuple[int, int], keys: tuple[tuple[int, bytes], ...] = ()) -> bytes:
    listed = b"".join(bytes(scheme) for scheme in schemes)
    public = b"".join(tlv(0x80, bytes([number])) + tlv(0x81, key) for number, key in keys)
    return tlv(0xA0, listed) + (tlv(0xA1, public) if keys else b"")


def card_with(files: dict[str, bytes]) -> Card:
    made = Package.decode(profile(TS48).package)
    original = instantiate(made, ANY_CARD)
    for path, content in files.items():
        node = original.file(path)
        assert isinstance(node, Ef)
        made = edit.with_file(made, path, content.ljust(node.size, b"\xff"))
    card = new_card(TS48)
    (installed,) = card.state.profiles
    card.state = card.state.with_profile(msgspec.structs.replace(installed, package=made.encode()))
    select_usim(card)
    return card


def test_the_null_scheme_tells_the_subscription_in_the_clear() -> None:
    """IMSI 001010123456063, MNC of two digits, routing indicator 0."""
    card = card_with({})
    assert send(card, GET_IDENTITY) == "A10D0100F110F0FF00001032540636" + "9000"


def test_the_home_network_reads_what_profile_a_conceals() -> None:
    public = HOME.public_key().public_bytes_raw()
    card = card_with(
        {INFO: suci_info((1, 2), (0, 0), keys=((9, bytes(32)), (27, public))), ROUTING: b"\x17\xff"}
    )
    answer = bytes.fromhex(send(card, GET_IDENTITY + "00"))
    assert answer[:2] == bytes([0xA1, len(answer) - 4])
    head, ephemeral, hidden, tag = answer[2:10], answer[10:42], answer[42:47], answer[47:-2]
    assert head.hex() == "0100f11017ff011b"
    shared = HOME.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    keys = b"".join(hashlib.sha256(shared + bytes([0, 0, 0, n]) + ephemeral).digest() for n in (1, 2))
    assert hmac.digest(keys[32:], hidden, "sha256")[:8] == tag
    opened = Cipher(algorithms.AES128(keys[:16]), modes.CTR(keys[16:32])).decryptor()
    assert opened.update(hidden).hex() == "1032540636"
    assert send(card, GET_IDENTITY + "00") != answer.hex().upper(), "every SUCI has a key of its own"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xa0\x00",
        b"\xa0\x05\x01",
        suci_info((1, 1)),
        suci_info((1, 0), keys=((1, bytes(32)),)),
        suci_info((1, 2), keys=((1, bytes(32)),)),
        suci_info((1, 1), keys=((1, b"\x01" * 31),)),
        suci_info((2, 1), keys=((1, b"\x02" + b"\xff" * 32),)),
        suci_info((3, 1), keys=((1, HOME.public_key().public_bytes_raw()),)),
    ],
)
def test_without_usable_data_there_is_no_identity(content: bytes) -> None:
    assert send(card_with({INFO: content}), GET_IDENTITY) == "6985"


def test_services_124_and_125_are_needed() -> None:
    table = instantiate(Package.decode(profile(TS48).package), ANY_CARD).file("ADF.USIM/EF.UST")
    assert isinstance(table, Ef)
    for service in (124, 125):
        content = bytearray(table.content)
        content[(service - 1) // 8] &= ~(1 << (service - 1) % 8)
        assert send(card_with({"ADF.USIM/EF.UST": bytes(content)}), GET_IDENTITY) == "6985"


def test_the_identity_is_told_to_whom_may_read_the_imsi() -> None:
    card = new_card(TS48)
    assert send(card, GET_IDENTITY) == "6985"
    select_usim(card)
    assert send(card, "00280001" + PIN) == "9000"
    card.reset()
    select_usim(card)
    assert send(card, GET_IDENTITY) == "6982"
    assert send(card, "00200001" + PIN) == "9000"
    assert send(card, GET_IDENTITY).endswith("9000")
    assert send(card, "80780002") == "6A86"
    assert send(card, "00780001") == "6E00"
    select(card, "3F00")
    assert send(card, GET_IDENTITY).endswith("9000"), "the application is still selected"
