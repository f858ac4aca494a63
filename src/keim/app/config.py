"""Configuration of a program: one TOML file, every key also from the environment, unknown keys are errors.

`load` takes the shape as a msgspec Struct with defaults. KEIM_SMDP_RULES__CODE_ATTEMPTS=5 sets
`code_attempts` in the table `rules` of the program whose prefix is KEIM_SMDP; the environment wins over the
file, and a command's own options win over both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from keim.errors import Refused

T = TypeVar("T", bound=msgspec.Struct)


def load(
    shape: type[T],
    path: Path | None,
    *,
    prefix: str,
    environment: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
) -> T:
    """The configuration, or a refusal that names the key."""
    document = _read(path) if path is not None else {}
    for name, value in environment.items():
        if name.startswith(f"{prefix}_") and name != f"{prefix}_CONFIG":
            _set(document, name.removeprefix(f"{prefix}_").lower().split("__"), value, name)
    document.update({name: value for name, value in (options or {}).items() if value is not None})
    try:
        return msgspec.convert(document, shape, strict=False)
    except msgspec.ValidationError as error:
        where = f"{path}: " if path is not None else ""
        raise Refused(f"{where}{error}", code="config.invalid") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", code="config.file_not_found") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}", code="config.invalid") from None


def _set(document: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    table = document
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise Refused(f"{name}: {key} is no table", code="config.invalid")
    table[keys[-1]] = value


def host_and_port(text: str, what: str) -> tuple[str, int]:
    """`127.0.0.1:8443`, `[::1]:8443` or `:8443` (every address)."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise Refused(f"{what}: {text!r} is not HOST:PORT", code="config.invalid")
    return host.strip("[]") or "0.0.0.0", int(port)
