"""Pre-shared keys of devices in a TOML file, for laboratories: `[text]` and `[hex]`, identity = "key"."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec

from keim.errors import Refused


class _File(msgspec.Struct, forbid_unknown_fields=True):
    text: dict[str, str] = {}
    hex: dict[str, str] = {}


def read_shared_keys(path: Path) -> Callable[[bytes], bytes | None]:
    """The key of an identity. The file is read once."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
        keys = {name.encode(): key.encode() for name, key in found.text.items()}
        keys |= {name.encode(): bytes.fromhex(key) for name, key in found.hex.items()}
    except OSError as fault:
        raise Refused(f"{path}: {fault.strerror}", code="config.file_not_found") from None
    except (ValueError, msgspec.ValidationError) as fault:
        raise Refused(f"{path}: {fault}", code="config.invalid") from None
    if any(not key for key in keys.values()):
        raise Refused(f"{path}: a key is empty", code="config.invalid")
    return keys.get
