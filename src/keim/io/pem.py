"""Certificates, CRLs and keys in files: DER or PEM, several in one file, keys always with mode 0600.

Imports keim.errors and keim.pki only.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import b64decode
from binascii import Error as NotBase64
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)
from cryptography.x509 import load_der_x509_csr

from keim.errors import Malformed, Refused, StoreFailed
from keim.pki import Certificate, Crl

MAX_FILE_OCTETS: Final = 64 * 1024 * 1024
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]*)-----END \1-----")


def read_octets(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE_OCTETS + 1)
    except FileNotFoundError:
        raise Refused(f"{path} does not exist", code="pki.file_not_found") from None
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}", code="pki.file_unreadable") from None
    if len(octets) > MAX_FILE_OCTETS:
        raise Refused(f"{path} is larger than {MAX_FILE_OCTETS} octets", code="pki.no_certificate_file")
    return octets


def blocks(octets: bytes) -> list[tuple[str, bytes]]:
    """(label, DER) of every PEM block; DER itself counts as one block without label."""
    if octets[:1] == b"\x30":
        return [("", octets)]
    found = []
    for match in _BLOCK.finditer(octets):
        lines = [line for line in match[2].splitlines() if b":" not in line]
        try:
            found.append((match[1].decode("ascii"), b64decode(b"".join(lines), validate=True)))
        except NotBase64 as error:
            raise Malformed(f"a PEM block is not base64: {error}", offset=match.start()) from None
    return found


def no_certificate(path: Path, octets: bytes, wanted: str) -> Refused:
    """What to say of a file without what is wanted; a key given in its place is the usual mistake."""
    has_key = any("PRIVATE KEY" in label for label, _ in blocks(octets)) or private_key_in(octets) is not None
    found = "a private key, no" if has_key else "neither DER nor PEM of a"
    return Refused(f"{path} holds {found} {wanted}", code="pki.no_certificate_file")


def read_certificates(path: Path) -> tuple[Certificate, ...]:
    """All certificates of a file, in their order."""
    octets = read_octets(path)
    found = tuple(Certificate(der) for label, der in blocks(octets) if label in ("", "CERTIFICATE"))
    if not found:
        raise no_certificate(path, octets, "certificate")
    return found


def read_crls(path: Path) -> tuple[Crl, ...]:
    octets = read_octets(path)
    found = tuple(Crl(der) for label, der in blocks(octets) if label in ("", "X509 CRL"))
    if not found:
        raise no_certificate(path, octets, "CRL")
    return found


def read_private_key(path: Path, *, must_be_private: bool = True) -> ec.EllipticCurvePrivateKey:
    """An EC key in PKCS#8 or SEC1. A file that others may read is refused, unless so allowed."""
    octets = read_octets(path)
    if must_be_private and os.name == "posix":
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise Refused(f"{path} has mode {mode:04o}: others may read the key", code="pki.key_exposed")
    key = private_key_in(octets)
    if key is None:
        raise Refused(f"{path} holds no unencrypted EC private key", code="pki.no_key_file")
    return key


def private_key_in(octets: bytes) -> ec.EllipticCurvePrivateKey | None:
    """The first EC private key of a file. What the library says of a bad one is not repeated."""
    for label, der in blocks(octets):
        if label not in ("", "PRIVATE KEY", "EC PRIVATE KEY"):
            continue
        try:
            key = load_der_private_key(der, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key
    return None


def read_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    for label, der in blocks(read_octets(path)):
        if label not in ("", "PUBLIC KEY"):
            continue
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, ec.EllipticCurvePublicKey):
            return key
    raise Refused(f"{path} holds no EC public key", code="pki.no_key_file")


def read_request_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The public key of a PKCS#10 request, whose own signature proves that its sender has the private one."""
    for label, der in blocks(read_octets(path)):
        if label not in ("", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"):
            continue
        try:
            request = load_der_x509_csr(der)
            is_genuine = request.is_signature_valid
            key = request.public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Refused(f"{path}: {error}", code="pki.bad_request_file") from None
        if not is_genuine or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refused(f"{path}: the request's signature or key is wrong", code="pki.bad_request_file")
        return key
    raise Refused(f"{path} holds no certificate signing request", code="pki.bad_request_file")


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_file(path: Path, octets: bytes, *, mode: int = 0o644) -> None:
    """Whole or not at all: a new file, then a rename. The mode holds before the first octet is in."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(octets)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):  # there may be nothing to take away, or not even a directory
            fresh.unlink()
        raise StoreFailed(f"{path}: {error.strerror}", code="pki.file_unwritable") from None


def write_private_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_file(path, key_pem(key), mode=0o600)
