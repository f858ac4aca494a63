"""SCP80's keys and algorithms: AES (KIc, KID ending in 2), triple DES with two or three keys (5, 9).

CBC with a zero IV, cryptographic checksums of 8 octets (CMAC for AES, CBC-MAC for triple DES).
"""

from __future__ import annotations

from typing import Final

import msgspec
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from keim.errors import Refused

CHECKSUM_OCTETS: Final = 8


class Security(msgspec.Struct, frozen=True, gc=False):
    """One pair of keys and how to use them. The key version is the high nibble of KIc and KID."""

    spi: bytes
    kic: int
    kid: int
    kic_key: bytes
    kid_key: bytes

    def __repr__(self) -> str:
        return f"Security(spi={self.spi.hex()}, kic={self.kic:02x}, kid={self.kid:02x}, ***)"

    @property
    def is_command_checked(self) -> bool:
        return _uses_checksum(self.spi[0] & 0x03)

    @property
    def is_command_ciphered(self) -> bool:
        return bool(self.spi[0] & 0x04)

    @property
    def is_response_checked(self) -> bool:
        return _uses_checksum(self.spi[1] >> 2 & 0x03)

    @property
    def is_response_ciphered(self) -> bool:
        return bool(self.spi[1] & 0x10)

    @property
    def cipher_block(self) -> int:
        return 16 if self.kic & 0x0F == 0x02 else 8

    def checksum(self, octets: bytes) -> bytes:
        algorithm = _cipher(self.kid, self.kid_key)
        if isinstance(algorithm, algorithms.AES):
            mac = CMAC(algorithm)
            mac.update(octets)
            return mac.finalize()[:CHECKSUM_OCTETS]
        encryptor = Cipher(algorithm, modes.CBC(bytes(8))).encryptor()
        return encryptor.update(octets + bytes(-len(octets) % 8))[-CHECKSUM_OCTETS:]

    def encrypt(self, octets: bytes) -> bytes:
        context = Cipher(_cipher(self.kic, self.kic_key), modes.CBC(bytes(self.cipher_block))).encryptor()
        return context.update(octets) + context.finalize()

    def decrypt(self, octets: bytes) -> bytes:
        context = Cipher(_cipher(self.kic, self.kic_key), modes.CBC(bytes(self.cipher_block))).decryptor()
        return context.update(octets) + context.finalize()


def _uses_checksum(bits: int) -> bool:
    if bits == 0:
        return False
    if bits == 2:
        return True
    raise Refused("only cryptographic checksums are supported", code="crypto.ota_unsupported")


def _cipher(indicator: int, key: bytes) -> algorithms.AES | TripleDES:
    match indicator & 0x0F:
        case 0x02:
            return algorithms.AES(key)
        case 0x05 if len(key) == 16:
            return TripleDES(key + key[:8])
        case 0x09 if len(key) == 24:
            return TripleDES(key)
    raise Refused(
        f"the algorithm {indicator & 0x0F:X} with a key of {len(key)} octets is not supported",
        code="crypto.ota_unsupported",
    )
