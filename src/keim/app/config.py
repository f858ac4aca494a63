"""Configuration of a program: one TOML file, every key also from the environment, unknown keys are errors.

`load` takes the shape as a msgspec Struct with defaults. KEIM_SMDP_RULES__CODE_ATTEMPTS=5 sets
`code_attempts` in the table `rules` of the program whose prefix is KEIM_SMDP; the environment wins over the
file, and a command's own options win over both.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from keim.errors import Refused

T = TypeVar("T", bound=msgspec.Struct)

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400 * 366)]
Pause = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 366)]
"""Seconds that may be none."""
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=60_000)]
Minutes = Annotated[float, msgspec.Meta(ge=0, le=60 * 24 * 36_500)]
Hours = Annotated[float, msgspec.Meta(gt=0, le=24 * 36_500)]
Days = Annotated[float, msgspec.Meta(gt=0, le=36_500)]
WholeDays = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Leeway = Annotated[float, msgspec.Meta(ge=0, le=3600)]
"""Seconds that two clocks may be apart."""
Rate = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
"""Of requests: a second, or at once."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
Octets = Annotated[int, msgspec.Meta(gt=0, le=1 << 40)]

_SHOWN: Final = 100
"""Characters of a value that a refusal repeats."""


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
    where = f"{path}: " if path is not None else ""
    for key, text in _texts(document):
        if not text.isprintable():
            raise Refused(f"{where}{key} holds {text[:_SHOWN]!r}, which is no text", code="config.invalid")
    try:
        return msgspec.convert(document, shape, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(f"{where}{error}", code="config.invalid") from None


def _texts(found: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its key, names of keys among them."""
    if isinstance(found, str):
        yield key, found
    elif isinstance(found, dict):
        for name, member in found.items():
            yield "a key", name
            yield from _texts(member, f"{key}.{name}".lstrip("."))
    elif isinstance(found, list):
        for member in found:
            yield from _texts(member, key)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}", code="config.file_not_found") from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number that Python does not read
        raise Refused(f"{path}: {error}", code="config.invalid") from None


def _set(document: dict[str, Any], keys: list[str], value: str, name: str) -> None:
    table = document
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise Refused(f"{name}: {key} is no table", code="config.invalid")
    table[keys[-1]] = _list(value) if value.startswith("[") and value.endswith("]") else value


def _list(value: str) -> object:
    """`["a", "b"]` as in the file; a text in brackets that is no list stays a text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        return value


def host_and_port(text: str, what: str) -> tuple[str, int]:
    """`127.0.0.1:8443`, `[::1]:8443` or `:8443` (every address)."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    is_host = host.isascii() and host.isprintable() and not set(host) & set("[]/@ ")
    is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535
    if not colon or not is_host or not is_port:
        raise Refused(f"{what}: {text[:_SHOWN]!r} is not HOST:PORT", code="config.invalid")
    return host or "0.0.0.0", int(port)
