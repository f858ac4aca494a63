"""Signing keys in files: PKCS#8 or SEC1, PEM or DER, mode 0600 on writing and on reading.

The file format is `keim.io.pem`'s; this module makes a `Signer` of it. Keys are never overwritten.
"""

from __future__ import annotations

from pathlib import Path

from keim.crypto.ecdsa import MemorySigner
from keim.crypto.suites import Suite, signer_of_key
from keim.errors import Refused
from keim.io.pem import read_private_key, write_private_key


class FileSigner(MemorySigner):
    """The `Signer` of a key file. The file is read once; a file that others may read is refused."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        signer = signer_of_key(read_private_key(path))
        super().__init__(signer.algorithm, signer.curve, signer.library_key)
        self.path = path

    def __repr__(self) -> str:
        return f"FileSigner({str(self.path)!r}, {self.algorithm})"


def create_key_file(path: Path, suite: Suite) -> FileSigner:
    """A new key, written for its owner alone; an existing file is left as it is and refused."""
    if path.exists():
        raise Refused(f"{path} exists already; keys are not overwritten", code="crypto.key_exists")
    write_private_key(path, suite.new_signer().library_key)
    return FileSigner(path)
