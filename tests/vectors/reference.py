"""A second, plain reading of the algorithms, for our own vectors: it imports nothing of keim.

Elliptic curves by the affine formulas, ECDSA with RFC 6979 nonces, CBC and CMAC by their definitions over
single AES blocks. Slow and not constant-time: it never touches a real key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

Point = tuple[int, int] | None


@dataclass(frozen=True)
class Curve:
    name: str
    p: int
    a: int
    b: int
    g: tuple[int, int]
    n: int

    def add(self, one: Point, two: Point) -> Point:
        if one is None or two is None:
            return one or two
        (x1, y1), (x2, y2) = one, two
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        if one == two:
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x = (slope * slope - x1 - x2) % self.p
        return x, (slope * (x1 - x) - y1) % self.p

    def multiply(self, scalar: int, point: Point = None) -> tuple[int, int]:
        result: Point = None
        addend: Point = point or self.g
        while scalar:
            if scalar & 1:
                result = self.add(result, addend)
            addend = self.add(addend, addend)
            scalar >>= 1
        assert result is not None
        return result


P256 = Curve(
    name="secp256r1",
    p=2**256 - 2**224 + 2**192 + 2**96 - 1,
    a=-3,
    b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    g=(
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
    n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
)
BRAINPOOL = Curve(
    name="brainpoolP256r1",
    p=0xA9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377,
    a=0x7D5A0975FC2C3057EEF67530417AFFE7FB8055C126DC5C6CE94A4B44F330B5D9,
    b=0x26DC5C6CE94A4B44F330B5D9BBD77CBF958416295CF7E1CE6BCCDC18FF8C07B6,
    g=(
        0x8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262,
        0x547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997,
    ),
    n=0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7,
)


def octets32(number: int) -> bytes:
    return number.to_bytes(32, "big")


def uncompressed(point: tuple[int, int]) -> bytes:
    return b"\x04" + octets32(point[0]) + octets32(point[1])


@dataclass(frozen=True)
class Key:
    """A key pair whose scalar comes of a label: everybody can make it, nobody should use it."""

    curve: Curve
    label: str
    scalar: int = field(repr=False)
    point: bytes = field(repr=False)


SCALAR_OF = "scalar-of:"


def scalar_of_label(label: str) -> str:
    """SHA-256 of the label with its first digit 0, so that it is below the order of both curves (hex)."""
    return "0" + hashlib.sha256(label.encode()).hexdigest()[1:]


def key(curve: Curve, label: str) -> Key:
    scalar = int(scalar_of_label(label), 16)
    return Key(curve, label, scalar, uncompressed(curve.multiply(scalar)))


def sign(signer: Key, message: bytes) -> bytes:
    """r || s with the nonce of RFC 6979 §3.2 (SHA-256, 256-bit group)."""
    n, digest = signer.curve.n, hashlib.sha256(message).digest()
    number = int.from_bytes(digest, "big")
    seed = octets32(signer.scalar) + octets32(number % n)
    v, k = b"\x01" * 32, bytes(32)
    for separator in (b"\x00", b"\x01"):
        k = hmac.digest(k, v + separator + seed, "sha256")
        v = hmac.digest(k, v, "sha256")
    while True:
        v = hmac.digest(k, v, "sha256")
        nonce = int.from_bytes(v, "big")
        if 0 < nonce < n:
            break
        k = hmac.digest(k, v + b"\x00", "sha256")
        v = hmac.digest(k, v, "sha256")
    r = signer.curve.multiply(nonce)[0] % n
    s = pow(nonce, -1, n) * (number + r * signer.scalar) % n
    return octets32(r) + octets32(s)


def agree(own: Key, peer: Key) -> bytes:
    x, y = int.from_bytes(peer.point[1:33], "big"), int.from_bytes(peer.point[33:], "big")
    return octets32(own.curve.multiply(own.scalar, (x, y))[0])


def x963(z: bytes, info: bytes) -> bytes:
    return b"".join(hashlib.sha256(z + bytes((0, 0, 0, i)) + info).digest() for i in (1, 2))[:48]


def aes(key_octets: bytes, block: bytes) -> bytes:
    return Cipher(algorithms.AES(key_octets), modes.ECB()).encryptor().update(block)


def xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))


def cbc(key_octets: bytes, iv: bytes, plaintext: bytes) -> bytes:
    made = b""
    for start in range(0, len(plaintext), 16):
        iv = aes(key_octets, xor(iv, plaintext[start : start + 16]))
        made += iv
    return made


def cmac(key_octets: bytes, message: bytes) -> bytes:
    """SP 800-38B: double the subkey once for whole last blocks, twice for padded ones."""

    def doubled(block: bytes) -> bytes:
        number = int.from_bytes(block, "big") << 1
        if number >> 128:
            number = (number & (2**128 - 1)) ^ 0x87
        return number.to_bytes(16, "big")

    subkey = doubled(aes(key_octets, bytes(16)))
    whole, rest = divmod(len(message), 16)
    if rest or not message:
        subkey = doubled(subkey)
        message += b"\x80" + bytes(15 - rest)
        whole += 1
    last = xor(message[-16:], subkey)
    return cbc(key_octets, bytes(16), message[:-16] + last)[-16:]


def tlv(tag: str, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 128:
        octets = bytes((size,))
    elif size < 256:
        octets = bytes((0x81, size))
    else:
        octets = b"\x82" + size.to_bytes(2, "big")
    return bytes.fromhex(tag) + octets + content


@dataclass
class Protection:
    """Profile protection by its rules (SCP03t), with everything that happens on the way kept."""

    s_enc: bytes
    s_mac: bytes
    chain: bytes
    counter: int = 1

    def protect(self, tag: str, plaintext: bytes) -> dict[str, object]:
        step: dict[str, object] = {
            "tag": tag,
            "encrypt": tag != "88",
            "plaintext": plaintext.hex(),
            "block_counter": self.counter,
            "mac_chaining_value_in": self.chain.hex(),
        }
        body = plaintext
        if tag != "88":
            padded = plaintext + b"\x80" + bytes(-(len(plaintext) + 1) % 16)
            icv = aes(self.s_enc, self.counter.to_bytes(16, "big"))
            body = cbc(self.s_enc, icv, padded)
            step |= {"icv": icv.hex(), "padded": padded.hex()}
        header = tlv(tag, body + bytes(8))[: -len(body) - 8]
        self.chain = cmac(self.s_mac, self.chain + header + body)
        self.counter += 1
        return step | {"tlv": (header + body + self.chain[:8]).hex(), "mac_full": self.chain.hex()}

    def segments(self, tag: str, plaintext: bytes) -> bytes:
        step = 1008 if tag == "88" else 1007
        pieces = [plaintext[start : start + step] for start in range(0, len(plaintext), step)]
        return b"".join(bytes.fromhex(str(self.protect(tag, piece)["tlv"])) for piece in pieces)
