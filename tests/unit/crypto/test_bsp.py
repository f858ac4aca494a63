"""Protected TLVs: against a plain second reading of the rules, and every way in which they must not open."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from keim.crypto.bsp import Bsp, BspState, first_state
from keim.crypto.faults import BspFault
from keim.crypto.kdf import SessionKeys
from keim.der.write import length

KEYS = SessionKeys(initial_mac_chaining_value=b"\x01" * 16, s_enc=b"\x02" * 16, s_mac=b"\x03" * 16)


def plainly(
    keys: SessionKeys, pieces: list[tuple[int, bytes]], counters: list[int] | None = None
) -> list[bytes]:
    """The rules as written down, with fresh contexts for each TLV."""
    chain, made = keys.initial_mac_chaining_value, []
    for number, (tag, body) in enumerate(pieces):
        counter = counters[number] if counters else number + 1
        if tag != 0x88:
            padded = body + b"\x80"
            padded += bytes(-len(padded) % 16)
            aes = algorithms.AES(keys.s_enc)
            icv = Cipher(aes, modes.ECB()).encryptor().update(counter.to_bytes(16, "big"))
            body = Cipher(aes, modes.CBC(icv)).encryptor().update(padded)  # noqa: PLW2901 - cipher text
        header = bytes((tag,)) + length(len(body) + 8)
        mac = CMAC(algorithms.AES(keys.s_mac))
        mac.update(chain + header + body)
        chain = mac.finalize()
        made.append(header + body + chain[:8])
    return made


PIECES = [
    (0x87, b"\xbf\x24\x00"),
    (0x88, bytes(40)),
    (0x88, b""),
    (0x86, b""),
    (0x86, bytes(15)),
    (0x86, bytes(16)),
    (0x86, bytes(range(256)) * 3),
    (0x86, b"\x80" + bytes(30)),
    (0x86, b"\x00" * 1007),
    (0x87, b"x" * 1008),
]


def test_protection_follows_the_rules_as_written() -> None:
    protecting, opening = Bsp.from_keys(KEYS), Bsp.from_keys(KEYS)
    for (tag, plaintext), expected in zip(PIECES, plainly(KEYS, PIECES), strict=True):
        assert protecting.protect(tag, plaintext) == expected
        assert opening.unprotect(expected) == plaintext
        assert opening.state == protecting.state


def test_a_state_goes_on_elsewhere() -> None:
    states, made = [first_state(KEYS)], plainly(KEYS, PIECES)
    for (tag, plaintext), expected in zip(PIECES, made, strict=True):
        bsp = Bsp(states[-1])
        assert bsp.protect(tag, plaintext) == expected
        assert Bsp(states[-1]).unprotect(expected) == plaintext
        states.append(bsp.state)
    assert [state.counter for state in states] == list(range(1, len(PIECES) + 2))


@pytest.mark.parametrize(
    ("tag", "octets", "lengths"),
    [
        (0x86, 0, [26]),
        (0x86, 1007, [1020]),
        (0x86, 1008, [1020, 26]),
        (0x86, 2014, [1020, 1020]),
        (0x86, 2015, [1020, 1020, 26]),
        (0x87, 57, [74]),
        (0x88, 0, [10]),
        (0x88, 1008, [1020]),
        (0x88, 1009, [1020, 11]),
    ],
)
def test_segments_fill_four_blocks_of_255_octets(tag: int, octets: int, lengths: list[int]) -> None:
    joined = Bsp.from_keys(KEYS).protect_all(tag, bytes(octets))
    opening, plaintext, found = Bsp.from_keys(KEYS), b"", []
    for size in lengths:
        plaintext += opening.unprotect(joined[sum(found) : sum(found) + size])
        found.append(size)
    assert (found, sum(found), plaintext) == (lengths, len(joined), bytes(octets))


def refusal_of(protected: bytes, state: BspState | None = None) -> str:
    bsp = Bsp(state or first_state(KEYS))
    before = bsp.state
    with pytest.raises(BspFault) as refusal:
        bsp.unprotect(protected)
    assert bsp.state == before
    return refusal.value.code


def test_every_single_bit_counts() -> None:
    protected = Bsp.from_keys(KEYS).protect(0x86, b"profile element")
    for position in range(len(protected)):
        for bit in range(8):
            bent = bytearray(protected)
            bent[position] ^= 1 << bit
            expected = "crypto.bsp_structure" if position < 2 else "crypto.bsp_security"
            if position == 0 and bent[0] in (0x87, 0x88):
                expected = "crypto.bsp_security"
            assert refusal_of(bytes(bent)) == expected


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (lambda tlv: b"", "crypto.bsp_structure"),
        (lambda tlv: tlv[:-1], "crypto.bsp_structure"),
        (lambda tlv: tlv + b"\0", "crypto.bsp_structure"),
        (lambda tlv: b"\x85" + tlv[1:], "crypto.bsp_structure"),
        (lambda tlv: b"\x86\x07" + bytes(7), "crypto.bsp_structure"),
        (lambda tlv: b"\x86\x17" + bytes(23), "crypto.bsp_structure"),
        (lambda tlv: b"\x86\x80" + tlv[2:] + b"\0\0", "crypto.bsp_structure"),
        (lambda tlv: b"\x86\x08" + bytes(8), "crypto.bsp_security"),
        (lambda tlv: b"\x88\x08" + bytes(8), "crypto.bsp_security"),
        (lambda tlv: b"\x87" + tlv[1:], "crypto.bsp_security"),
    ],
)
def test_a_bent_tlv_is_refused(bend: object, code: str) -> None:
    assert callable(bend)
    assert refusal_of(bend(Bsp.from_keys(KEYS).protect(0x86, b"profile element"))) == code


def test_order_loss_and_repetition_break_the_chain() -> None:
    first, second, third = plainly(KEYS, [(0x86, b"one"), (0x86, b"two"), (0x86, b"three")])
    assert refusal_of(second) == "crypto.bsp_security"
    bsp = Bsp.from_keys(KEYS)
    bsp.unprotect(first)
    for wrong in (first, third):
        assert refusal_of(wrong, bsp.state) == "crypto.bsp_security"
    assert bsp.unprotect(second) == b"two"


def test_a_wrong_counter_is_not_seen_by_the_mac_but_garbles_one_block() -> None:
    """TLVs 88 count as well; who forgets that makes garbage that no MAC betrays."""
    text = bytes(range(64))
    _, wrong = plainly(KEYS, [(0x88, b"metadata"), (0x86, text)], counters=[1, 1])
    bsp = Bsp.from_keys(KEYS)
    bsp.unprotect(plainly(KEYS, [(0x88, b"metadata")])[0])
    opened = bsp.unprotect(wrong)
    assert opened[:16] != text[:16]
    assert opened[16:] == text[16:]


@pytest.mark.parametrize(
    "padded", [bytes(16), b"\x01" * 16, b"\x80" + bytes(16) + bytes(15), b"", b"a" * 15 + b"\x81"]
)
def test_wrong_padding_under_a_right_mac_is_the_same_refusal(padded: bytes) -> None:
    """One code for MAC and padding: the difference must not be an oracle."""
    aes = algorithms.AES(KEYS.s_enc)
    icv = Cipher(aes, modes.ECB()).encryptor().update((1).to_bytes(16, "big"))
    cipher_text = Cipher(aes, modes.CBC(icv)).encryptor().update(padded)
    header = b"\x86" + length(len(cipher_text) + 8)
    mac = CMAC(algorithms.AES(KEYS.s_mac))
    mac.update(KEYS.initial_mac_chaining_value + header + cipher_text)
    assert refusal_of(header + cipher_text + mac.finalize()[:8]) == "crypto.bsp_security"


def test_a_refusal_does_not_disturb_what_comes_next() -> None:
    """The running cipher context must not be thrown off by a TLV whose padding was wrong."""
    protecting = Bsp.from_keys(KEYS)
    first, second = protecting.protect(0x86, b"one"), protecting.protect(0x86, b"two")
    bsp = Bsp.from_keys(KEYS)
    with pytest.raises(BspFault):
        bsp.unprotect(second)
    assert bsp.unprotect(first) == b"one"
    assert bsp.unprotect(second) == b"two"
