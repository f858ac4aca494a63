"""Reads vector files: those of the shared folder in place, our own beside the tests, and extra folders.

KEIM_EXTRA_VECTORS names folders or files (separated as in PATH) with more vectors. A file tells what it is by
its content, not by its name. Crypto vectors: `about.title` begins with "crypto test vectors", or there is a
member of their kind (signatures, certificate_chains, bpp, ...). Object vectors: `format` begins with
"sgp32-objects", or there are entries with type and der. A file may be both. One that is neither is not run,
and the last lines of the run say so loudly (tests/conftest.py).
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from tests.shared import shared_dir
from tests.vectors.reference import SCALAR_OF, scalar_of_label

DATA = Path(__file__).resolve().parent / "data"

CRYPTO = "crypto"
OBJECTS = "objects"

CRYPTO_MEMBERS = frozenset(
    {
        "eid", "confirmation_code", "signatures", "euicc_packages", "kdf", "bsp", "bpp", "iot_sessions",
        "recorded_session", "live_bpp_shapes", "compact", "scp80", "scp03", "certificate_chains", "load_crl",
    }
)  # fmt: skip


@lru_cache(maxsize=16)
def document(path: Path) -> dict[str, Any]:
    content = _filled_in(json.loads(path.read_text(encoding="utf-8")))
    if isinstance(content, list):
        content = {"entries": content}
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no vector file: neither an object nor a list of entries")
    if _has_object_entries(content):
        content["entries"] = [{"id": f"entry-{i}"} | entry for i, entry in enumerate(content["entries"])]
    return content


def _filled_in(value: Any) -> Any:
    """Our own file has no private scalars: "scalar-of:LABEL" stands for what the label gives."""
    if isinstance(value, dict):
        return {name: _filled_in(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled_in(member) for member in value]
    if isinstance(value, str) and value.startswith(SCALAR_OF):
        return scalar_of_label(value.removeprefix(SCALAR_OF))
    return value


def _has_object_entries(content: dict[str, Any]) -> bool:
    entries = content.get("entries")
    return (
        isinstance(entries, list)
        and bool(entries)
        and all(isinstance(entry, dict) and {"type", "der"} <= entry.keys() for entry in entries)
    )


def formats_of(path: Path) -> frozenset[str]:
    """CRYPTO, OBJECTS, both or none. A file that cannot be read as JSON is none."""
    try:
        content = document(path)
    except (OSError, ValueError, RecursionError):
        return frozenset()
    about, found = content.get("about"), set()
    title = about.get("title", "") if isinstance(about, dict) else ""
    if str(title).startswith("crypto test vectors") or not CRYPTO_MEMBERS.isdisjoint(content):
        found.add(CRYPTO)
    if str(content.get("format", "")).startswith("sgp32-objects") or _has_object_entries(content):
        found.add(OBJECTS)
    return frozenset(found)


def _extra_files() -> list[Path]:
    """Every JSON file that KEIM_EXTRA_VECTORS leads to; a name that leads nowhere is an error at once."""
    places = [Path(part) for part in os.environ.get("KEIM_EXTRA_VECTORS", "").split(os.pathsep) if part]
    files: list[Path] = []
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"KEIM_EXTRA_VECTORS names {place}, which is not there")
        files += sorted(place.rglob("*.json")) if place.is_dir() else [place]
    return files


def extra_vector_files(format_name: str) -> list[Path]:
    """The extra files of that format."""
    return [path for path in _extra_files() if format_name in formats_of(path)]


def unused_extra_files() -> list[Path]:
    """Those that no test reads, because they look like none of our formats."""
    return [path for path in _extra_files() if not formats_of(path)]


def vector_files(name: str) -> list[Path]:
    """Where vectors of `crypto.json` or `objects.json` may stand: shared folder, our own, extra folders."""
    format_name = name.removesuffix(".json")
    files = []
    folder = shared_dir()
    if folder is not None and (folder / "spec" / "vectors" / name).is_file():
        files.append(folder / "spec" / "vectors" / name)
    files += sorted(path for path in DATA.glob("*.json") if format_name in formats_of(path))
    return files + extra_vector_files(format_name)


def named(name: str, member: str) -> dict[str, Any]:
    """A member that maps names to values (`certificates`, `crls`), merged over all files."""
    merged: dict[str, Any] = {}
    for path in vector_files(name):
        merged |= document(path).get(member, {})
    return merged


def entries_of(name: str, member: str) -> list[Any]:
    """`pytest.param`s, one per entry of the member in every file, with the entry's id as the test's id.

    Path members of an entry are relative to the shared folder (`tests.shared.shared_path`).
    In an empty list there is one skipped entry, which says that the shared folder is absent.
    """
    params = []
    for path in vector_files(name):
        entries = document(path).get(member, [])
        if isinstance(entries, dict):
            entries = entries.get("cases", [{"id": member, **entries}])
        for number, entry in enumerate(entries):
            params.append(pytest.param(entry, id=f"{path.stem}-{entry.get('id', f'{member}-{number}')}"))
    if not params:
        skip = pytest.mark.skip(reason=f"no vectors {member}: the shared folder is absent")
        params.append(pytest.param({}, id=f"no-{member}", marks=[pytest.mark.needs_shared, skip]))
    return params
