"""Signed notes (C2SP signed-note) with Ed25519 keys: a text, an empty line, a signature per line.

Pure. Imports keim.errors only.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from keim.errors import BadSignature, Malformed, Refused

ED25519: Final = b"\x01"
LONGEST_NOTE: Final = 64 * 1024
_NAME: Final = re.compile(r"[^\s+]{1,200}")
_SIGNATURE: Final = re.compile(r"\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")


class NoteKey(msgspec.Struct, frozen=True):
    """The public half: who signs, and the 32 octets of the key."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public_key) != 32:
            raise Refused(
                f"{self.name!r} with {len(self.public_key)} octets is no name and Ed25519 key of a log",
                code="audit.bad_log_key",
            )

    @property
    def key_id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    @property
    def text(self) -> str:
        """One line: name, key id and key, as Go's note package writes verifier keys."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(ED25519 + self.public_key).decode()}"

    @classmethod
    def from_text(cls, text: str) -> NoteKey:
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        octets = canonical_base64(encoded) or b""
        if octets[:1] != ED25519 or len(octets) != 33:
            raise Refused(f"{text.strip()[:80]!r} is no Ed25519 key of a log", code="audit.bad_log_key")
        key = cls(name, octets[1:])
        if key.text != text.strip():
            raise Refused(f"the key id {key_id!r} is not that of this key", code="audit.bad_log_key")
        return key

    def verify(self, signature: bytes, text: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class NoteSigner(msgspec.Struct, frozen=True):
    """`sign` may end in a file's key, a key store or a device; the key itself is not asked for."""

    key: NoteKey
    sign: Callable[[bytes], bytes]

    @classmethod
    def of(cls, name: str, private_key: Ed25519PrivateKey) -> NoteSigner:
        return cls(NoteKey(name, private_key.public_key().public_bytes_raw()), private_key.sign)

    @classmethod
    def new(cls, name: str) -> NoteSigner:
        return cls.of(name, Ed25519PrivateKey.generate())


def sign_note(text: str, *signers: NoteSigner) -> str:
    lines = [
        f"\u2014 {signer.key.name} {b64encode(signer.key.key_id + signer.sign(text.encode())).decode()}\n"
        for signer in signers
    ]
    return f"{text}\n{''.join(lines)}"


def open_note(note: bytes, key: NoteKey) -> str:
    """The text, when `key` has signed it; signatures of others (witnesses) are passed over."""
    text, signatures = split_note(note)
    for name, octets in signatures:
        if name == key.name and octets[:4] == key.key_id and key.verify(octets[4:], text.encode()):
            return text
    raise BadSignature(f"{key.name} has not signed this note", code="audit.checkpoint_signature")


def split_note(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text with its last line feed, and (name, key id and signature) of each line below it."""
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8", error.start) from None
    cut = whole.rfind("\n\n")
    if len(note) > LONGEST_NOTE or cut < 0 or not whole.endswith("\n"):
        raise _malformed("a text, an empty line and signatures are needed", 0)
    found = []
    for line in whole[cut + 2 : -1].split("\n"):
        match = _SIGNATURE.fullmatch(line)
        octets = canonical_base64(match[2]) if match else None
        if match is None or octets is None or len(octets) < 5:
            raise _malformed(f"{line[:60]!r} is no signature line", cut + 2)
        found.append((match[1], octets))
    return whole[: cut + 1], found


def _malformed(message: str, offset: int) -> Malformed:
    return Malformed(message, offset=offset, path="note", code="audit.bad_note")


def canonical_base64(text: str) -> bytes | None:
    """Canonical base64 only, so that one value has one spelling."""
    try:
        octets = b64decode(text, validate=True)
    except ValueError:
        return None
    return octets if b64encode(octets).decode() == text else None
