"""Profile protection (BSP; SCP03t of SGP.22 §2.5.3): single protected TLVs, both directions.

Tags 86 and 87 are encrypted and MACed, 88 is only MACed. The counter runs over all three; every MAC chains
onto the one before. One state serves one direction of one session: protect with one `Bsp`, open with another.
"""

from __future__ import annotations

import hmac
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from keim.crypto.faults import BspFault
from keim.crypto.kdf import SessionKeys
from keim.der import header, read_tlv, tag_text
from keim.errors import Malformed

PROFILE_ELEMENTS_TAG: Final = 0x86
COMMAND_TAG: Final = 0x87
METADATA_TAG: Final = 0x88

BLOCK: Final = 16
MAC_OCTETS: Final = 8
SEGMENT_OCTETS: Final = 1020
"""Largest protected TLV that we make: four ES10b blocks of 255."""
TOLERATED_SEGMENT_OCTETS: Final = 1036
"""Largest that we open: two public tools cut plaintext at 1008 and end up here."""
ENCRYPTED_PLAINTEXT_OCTETS: Final = 1007
METADATA_PLAINTEXT_OCTETS: Final = 1008

_ZERO_BLOCK: Final = bytes(BLOCK)


class BspState(msgspec.Struct, frozen=True, gc=False):
    """Everything that the next TLV depends on, as a value: keys, MAC chaining value, counter."""

    s_enc: bytes
    s_mac: bytes
    chain: bytes
    counter: int

    def __repr__(self) -> str:
        return f"BspState(counter={self.counter}, ***)"


def first_state(keys: SessionKeys) -> BspState:
    return BspState(s_enc=keys.s_enc, s_mac=keys.s_mac, chain=keys.initial_mac_chaining_value, counter=1)


class Bsp:
    """Protects or opens TLVs one after the other. `state` may be taken at any time and resumed elsewhere.

    Each cipher context is made once, when it is needed. OpenSSL cannot restart CBC with another IV cheaply,
    so one CBC context with IV 0 runs on through all segments. It encrypts the counter as well: a block of the
    counter plus the last ciphertext block comes out as the ICV, and what follows is chained onto that, as BSP
    wants it. Opening takes a second context for the ICV and adjusts the first block of each segment by XOR.
    The tests compare with separate contexts, and with vectors of other implementations.
    """

    __slots__ = (
        "_chain",
        "_counter",
        "_decryptor",
        "_encryptor",
        "_last_in",
        "_last_out",
        "_mac",
        "_state",
    )

    def __init__(self, state: BspState) -> None:
        self._state = state
        self._chain = state.chain
        self._counter = state.counter
        self._encryptor: CipherContext | None = None
        self._decryptor: tuple[CipherContext, CipherContext] | None = None
        """CBC for the text, ECB for the ICV."""
        self._mac = CMAC(algorithms.AES(state.s_mac))
        self._last_out = 0
        self._last_in = 0

    @classmethod
    def from_keys(cls, keys: SessionKeys) -> Bsp:
        return cls(first_state(keys))

    @property
    def state(self) -> BspState:
        return BspState(
            s_enc=self._state.s_enc, s_mac=self._state.s_mac, chain=self._chain, counter=self._counter
        )

    def protect(self, tag: int, plaintext: bytes) -> bytes:
        """One TLV 86, 87 or 88. The caller keeps to the sizes; `segments` cuts."""
        body = plaintext if tag == METADATA_TAG else self._encrypt(plaintext)
        octets = header(tag, len(body) + MAC_OCTETS) + body
        return octets + self._advance(octets)[:MAC_OCTETS]

    def protect_all(self, tag: int, plaintext: bytes) -> bytes:
        """As many TLVs as the plaintext needs, joined; at least one."""
        step = METADATA_PLAINTEXT_OCTETS if tag == METADATA_TAG else ENCRYPTED_PLAINTEXT_OCTETS
        protect = self.protect
        return b"".join(
            [protect(tag, plaintext[start : start + step]) for start in range(0, len(plaintext) or 1, step)]
        )

    def unprotect(self, protected: bytes) -> bytes:
        """The plaintext of one TLV. A `BspFault` leaves the state as it was, but the session is over."""
        try:
            element = read_tlv(protected, any_length_form=True)
        except Malformed as fault:
            raise BspFault(f"not a protected TLV: {fault}") from None
        tag, end = element.tag, element.end
        if tag not in (PROFILE_ELEMENTS_TAG, COMMAND_TAG, METADATA_TAG):
            raise BspFault(f"the tag {tag_text(tag)} is none of 86, 87 and 88")
        if end != len(protected):
            raise BspFault(f"{len(protected) - end} octets follow the protected TLV")
        body = protected[element.content : end - MAC_OCTETS]
        if end - element.content < MAC_OCTETS or (tag != METADATA_TAG and len(body) % BLOCK):
            raise BspFault("a protected TLV holds whole cipher blocks and a MAC of 8 octets")
        mac = self._mac_over(protected[: end - MAC_OCTETS])
        if not hmac.compare_digest(mac[:MAC_OCTETS], protected[end - MAC_OCTETS :]):
            raise BspFault(
                f"the MAC of protected TLV number {self._counter} is wrong", code="crypto.bsp_security"
            )
        plaintext = body if tag == METADATA_TAG else self._decrypt(body)
        self._chain = mac
        self._counter += 1
        return plaintext

    def _mac_over(self, octets: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(self._chain + octets)
        return mac.finalize()

    def _advance(self, octets: bytes) -> bytes:
        self._chain = self._mac_over(octets)
        self._counter += 1
        return self._chain

    def _encrypt(self, plaintext: bytes) -> bytes:
        if self._encryptor is None:
            self._encryptor = Cipher(algorithms.AES(self._state.s_enc), modes.CBC(_ZERO_BLOCK)).encryptor()
        counter = (self._counter ^ self._last_out).to_bytes(BLOCK, "big")
        padding = b"\x80" + bytes(-(len(plaintext) + 1) % BLOCK)
        cipher_text = self._encryptor.update(counter + plaintext + padding)[BLOCK:]
        self._last_out = int.from_bytes(cipher_text[-BLOCK:], "big")
        return cipher_text

    def _decrypt(self, cipher_text: bytes) -> bytes:
        if self._decryptor is None:
            aes = algorithms.AES(self._state.s_enc)
            icv_encryptor = Cipher(aes, modes.ECB()).encryptor()
            self._decryptor = Cipher(aes, modes.CBC(_ZERO_BLOCK)).decryptor(), icv_encryptor
        decryptor, icv_encryptor = self._decryptor
        padded = decryptor.update(cipher_text)
        icv = int.from_bytes(icv_encryptor.update(self._counter.to_bytes(BLOCK, "big")), "big")
        first = int.from_bytes(padded[:BLOCK], "big") ^ icv ^ self._last_in
        self._last_in = int.from_bytes(cipher_text[-BLOCK:], "big")
        plaintext = (first.to_bytes(BLOCK, "big") + padded[BLOCK:]).rstrip(b"\0")
        if not cipher_text or not plaintext.endswith(b"\x80") or len(padded) - len(plaintext) >= BLOCK:
            raise BspFault(
                f"the padding of protected TLV number {self._counter} is wrong", code="crypto.bsp_security"
            )
        return plaintext[:-1]
