"""SCP03 (GlobalPlatform amendment D): session keys, and both sides of the protected APDUs (S8 mode).

A `Session` serves one side: the host wraps commands and opens responses, the card does the reverse.
"""

from __future__ import annotations

import hmac
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from keim.errors import BadSignature, Malformed

C_MAC: Final = 0x01
C_ENC: Final = 0x02
R_MAC: Final = 0x10
R_ENC: Final = 0x20

_MAC: Final = 8
_BLOCK: Final = 16
_CARD_CRYPTOGRAM, _HOST_CRYPTOGRAM, _S_ENC, _S_MAC, _S_RMAC = 0x00, 0x01, 0x04, 0x06, 0x07


class StaticKeys(msgspec.Struct, frozen=True, gc=False):
    enc: bytes
    mac: bytes
    dek: bytes

    def __repr__(self) -> str:
        return "StaticKeys(***)"


class InitializeUpdate(msgspec.Struct, frozen=True, gc=False):
    """The card's answer: key version, protocol parameter i, challenge, cryptogram."""

    key_version: int
    parameter: int
    card_challenge: bytes
    card_cryptogram: bytes


def initialize_update(key_version: int, host_challenge: bytes) -> bytes:
    return b"\x80\x50" + bytes((key_version, 0, len(host_challenge))) + host_challenge + b"\x00"


def read_initialize_update(response: bytes) -> InitializeUpdate:
    """Diversification (10), key version, 03, i, challenge (8), cryptogram (8), and perhaps a sequence."""
    if len(response) not in (29, 32) or response[11] != 0x03:
        raise Malformed("not an answer to INITIALIZE UPDATE of SCP03", offset=0, code="crypto.scp03_form")
    return InitializeUpdate(
        key_version=response[10],
        parameter=response[12],
        card_challenge=response[13:21],
        card_cryptogram=response[21:29],
    )


def _cmac(key: bytes, octets: bytes) -> bytes:
    mac = CMAC(algorithms.AES(key))
    mac.update(octets)
    return mac.finalize()


def derive(key: bytes, constant: int, octets: int, context: bytes) -> bytes:
    """SP 800-108 in counter mode with AES-CMAC; the context is host challenge || card challenge."""
    output, counter = b"", 0
    while len(output) < octets:
        counter += 1
        label = bytes(11) + bytes((constant, 0)) + (8 * octets).to_bytes(2, "big") + bytes((counter,))
        output += _cmac(key, label + context)
    return output[:octets]


class Session:
    """One secure channel, opened by `host_session` or `card_session`."""

    __slots__ = ("_chain", "_context", "_counter", "_level", "_s_enc", "_s_mac", "_s_rmac")

    def __init__(self, keys: StaticKeys, host_challenge: bytes, card_challenge: bytes) -> None:
        self._context = host_challenge + card_challenge
        size = len(keys.enc)
        self._s_enc = derive(keys.enc, _S_ENC, size, self._context)
        self._s_mac = derive(keys.mac, _S_MAC, size, self._context)
        self._s_rmac = derive(keys.mac, _S_RMAC, size, self._context)
        self._chain = bytes(_BLOCK)
        self._counter = 0
        self._level = C_MAC

    def __repr__(self) -> str:
        return f"Session(level={self._level:02x}, ***)"

    @property
    def card_cryptogram(self) -> bytes:
        return derive(self._s_mac, _CARD_CRYPTOGRAM, 8, self._context)

    @property
    def host_cryptogram(self) -> bytes:
        return derive(self._s_mac, _HOST_CRYPTOGRAM, 8, self._context)

    def external_authenticate(self, level: int) -> bytes:
        """The host's proof; the level holds from the next command on."""
        apdu = self._with_mac(bytes((0x84, 0x82, level, 0x00)), self.host_cryptogram, b"")
        self._level = level
        return apdu

    def accept_external_authenticate(self, apdu: bytes) -> int:
        """The card's side: the level that the host asks for, after both checks."""
        header, data, _ = _split(apdu)
        cryptogram = self._checked(header, data)
        if header[1] != 0x82 or not hmac.compare_digest(cryptogram, self.host_cryptogram):
            raise BadSignature("the host's cryptogram is wrong", code="crypto.scp03_cryptogram")
        self._level = header[2]
        return self._level

    def wrap_command(self, apdu: bytes) -> bytes:
        header, data, le = _split(apdu)
        self._counter += 1
        if self._level & C_ENC and data:
            data = self._crypt(_padded(data), response=False, decrypt=False)
        return self._with_mac(bytes((header[0] | 0x04,)) + header[1:4], data, le)

    def unwrap_command(self, apdu: bytes) -> bytes:
        """The card's side: the plain APDU, with the class byte of the standard's plain form."""
        header, data, le = _split(apdu)
        data = self._checked(header, data)
        self._counter += 1
        if self._level & C_ENC and data:
            data = _unpadded(self._crypt(data, response=False, decrypt=True))
        plain = bytes((header[0] & ~0x04,)) + header[1:4]
        return plain + (bytes((len(data),)) + data if data else b"") + le

    def wrap_response(self, data: bytes, sw: bytes) -> bytes:
        """The card's side: protected data, without the status word that stays behind it in clear."""
        if self._level & R_ENC and data:
            data = self._crypt(_padded(data), response=True, decrypt=False)
        if not self._level & R_MAC:
            return data
        return data + _cmac(self._s_rmac, self._chain + data + sw)[:_MAC]

    def unwrap_response(self, data: bytes, sw: bytes) -> bytes:
        if self._level & R_MAC:
            if len(data) < _MAC:
                raise Malformed("the response has no MAC", offset=0, code="crypto.scp03_form")
            data, mac = data[:-_MAC], data[-_MAC:]
            if not hmac.compare_digest(mac, _cmac(self._s_rmac, self._chain + data + sw)[:_MAC]):
                raise BadSignature("the MAC of the response is wrong", code="crypto.scp03_mac")
        if self._level & R_ENC and data:
            data = _unpadded(self._crypt(data, response=True, decrypt=True))
        return data

    def _with_mac(self, header: bytes, data: bytes, le: bytes) -> bytes:
        body = header + bytes((len(data) + _MAC,)) + data
        self._chain = _cmac(self._s_mac, self._chain + body)
        return body + self._chain[:_MAC] + le

    def _checked(self, header: bytes, data: bytes) -> bytes:
        if len(data) < _MAC:
            raise Malformed("the command has no MAC", offset=0, code="crypto.scp03_form")
        data, mac = data[:-_MAC], data[-_MAC:]
        full = _cmac(self._s_mac, self._chain + header + bytes((len(data) + _MAC,)) + data)
        if not hmac.compare_digest(mac, full[:_MAC]):
            raise BadSignature("the MAC of the command is wrong", code="crypto.scp03_mac")
        self._chain = full
        return data

    def _crypt(self, octets: bytes, *, response: bool, decrypt: bool) -> bytes:
        if len(octets) % _BLOCK:
            raise Malformed("no whole number of cipher blocks", offset=0, code="crypto.scp03_form")
        counter = self._counter.to_bytes(_BLOCK, "big")
        if response:
            counter = b"\x80" + counter[1:]
        aes = algorithms.AES(self._s_enc)
        icv = Cipher(aes, modes.ECB()).encryptor().update(counter)
        cipher = Cipher(aes, modes.CBC(icv))
        context = cipher.decryptor() if decrypt else cipher.encryptor()
        return context.update(octets) + context.finalize()


def _padded(data: bytes) -> bytes:
    return data + b"\x80" + bytes(-(len(data) + 1) % _BLOCK)


def _unpadded(data: bytes) -> bytes:
    plain = data.rstrip(b"\0")
    if not plain.endswith(b"\x80") or len(data) - len(plain) >= _BLOCK:
        raise Malformed("the padding is wrong", offset=0, code="crypto.scp03_form")
    return plain[:-1]


def _split(apdu: bytes) -> tuple[bytes, bytes, bytes]:
    """Header, data and Le octets of a short APDU."""
    if len(apdu) == 4:
        return apdu, b"", b""
    if len(apdu) == 5:
        return apdu[:4], b"", apdu[4:]
    if len(apdu) > 5 and len(apdu) - 5 - apdu[4] in (0, 1):
        end = 5 + apdu[4]
        return apdu[:4], apdu[5:end], apdu[end:]
    raise Malformed("not a short APDU: its length octet does not fit", offset=4, code="crypto.scp03_form")


def host_session(keys: StaticKeys, host_challenge: bytes, response: InitializeUpdate) -> Session:
    """The host's side, after the check of the card's cryptogram."""
    session = Session(keys, host_challenge, response.card_challenge)
    if not hmac.compare_digest(session.card_cryptogram, response.card_cryptogram):
        raise BadSignature("the card's cryptogram is wrong", code="crypto.scp03_cryptogram")
    return session
