"""Reading and writing the files of `keim profile`: packages are secrets, written for the owner only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keim.errors import Refused


def read_bytes(name: str) -> bytes:
    """The octets of a file, or of stdin for `-`; hexadecimal text is understood too."""
    data = sys.stdin.buffer.read() if name == "-" else _read(name)
    try:
        text = data.decode("ascii").split()
        return bytes.fromhex("".join(text)) if text and data[:1] not in b"\xa0" else data
    except (UnicodeDecodeError, ValueError):
        return data


def read_text(name: str) -> str:
    data = sys.stdin.buffer.read() if name == "-" else _read(name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"{name} is no UTF-8 text", code="saip.unreadable_file") from None


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except FileNotFoundError:
        raise Refused(f"there is no file {name}", code="saip.file_not_found") from None
    except OSError as fault:
        raise Refused(f"{name} cannot be read: {fault.strerror}", code="saip.unreadable_file") from None


def write_secret(path: Path, data: bytes) -> None:
    """Writes beside the place and renames, mode 0600: no half package is ever found there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise Refused(f"{path} cannot be written: {fault.strerror}", code="saip.unwritable_file") from None


def write_output(name: str, data: bytes) -> None:
    """To a file, or to stdout for `-` unless that is a terminal."""
    if name != "-":
        write_secret(Path(name), data)
        return
    if sys.stdout.isatty():
        raise Refused("a package is no text: send it into a file or a pipe", code="request.refused")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
