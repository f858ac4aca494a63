"""From the shared secret to session keys: X9.63 with SHA-256 (BSI TR-03111 §4.3.3; SGP.22 Annex G).

The hash and the key length are arguments, so that AES-256 or another hash is no change of this code.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from keim.crypto.secrets import Secret
from keim.errors import Unencodable

KEY_TYPE_AES: Final = 0x88
KEY_LENGTH_AES128: Final = 0x10
EID_OCTETS: Final = 16
CHAINING_OCTETS: Final = 16


class SessionKeys(msgspec.Struct, frozen=True, gc=False):
    """What BSP starts with: the first MAC chaining value, S-ENC and S-MAC (or the PPK triple of BF26)."""

    initial_mac_chaining_value: bytes
    s_enc: bytes
    s_mac: bytes

    def __repr__(self) -> str:
        return "SessionKeys(***)"


def x963(z: bytes, shared_info: bytes, octets: int, *, hash_name: str = "sha256") -> bytes:
    """SHA(z || 00000001 || info) || SHA(z || 00000002 || info) ..., cut to the wanted number of octets."""
    output, counter = b"", 0
    while len(output) < octets:
        counter += 1
        output += hashlib.new(hash_name, z + counter.to_bytes(4, "big") + shared_info).digest()
    return output[:octets]


def shared_info(
    host_id: bytes, eid: bytes, *, key_type: int = KEY_TYPE_AES, key_length: int = KEY_LENGTH_AES128
) -> bytes:
    """Key type, key length, then hostId and EID as length and value; the EID is its 16 octets, not digits."""
    if not 1 <= len(host_id) <= 16:
        raise Unencodable(f"a hostId has 1 to 16 octets, not {len(host_id)}", path="hostId")
    if len(eid) != EID_OCTETS:
        raise Unencodable(f"the EID enters the derivation as 16 octets, not {len(eid)}", path="eid")
    return bytes((key_type, key_length, len(host_id))) + host_id + bytes((len(eid),)) + eid


def derive_session_keys(
    z: Secret, *, host_id: bytes, eid: bytes, key_length: int = KEY_LENGTH_AES128
) -> SessionKeys:
    """The three values of SGP.22 §5.5.1, in the order MAC chaining value, S-ENC, S-MAC."""
    info = shared_info(host_id, eid, key_length=key_length)
    k = x963(z.reveal(), info, CHAINING_OCTETS + 2 * key_length)
    return SessionKeys(
        initial_mac_chaining_value=k[:CHAINING_OCTETS],
        s_enc=k[CHAINING_OCTETS : CHAINING_OCTETS + key_length],
        s_mac=k[CHAINING_OCTETS + key_length :],
    )
