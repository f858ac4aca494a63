"""Reads vector files: those of the shared folder in place, our own beside the tests, and extra folders.

KEIM_EXTRA_VECTORS names folders (separated as in PATH) with more files. A file tells what it is by its
content, not by its name: crypto vectors have an `about` member whose title begins with "crypto test vectors",
object vectors a member `format` that begins with "sgp32-objects". Files without such a mark are refused, so
that a file that nobody runs is noticed.
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


@lru_cache(maxsize=16)
def document(path: Path) -> dict[str, Any]:
    content = _filled_in(json.loads(path.read_text(encoding="utf-8")))
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no vector file: not an object")
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


def format_of(path: Path) -> str:
    """CRYPTO or OBJECTS; anything else is an error, never a silent skip."""
    content = document(path)
    about = content.get("about")
    if isinstance(about, dict) and str(about.get("title", "")).startswith("crypto test vectors"):
        return CRYPTO
    if str(content.get("format", "")).startswith("sgp32-objects"):
        return OBJECTS
    raise ValueError(f"{path} is no vector file: neither `about.title` nor `format` says what it is")


def extra_vector_files(format_name: str) -> list[Path]:
    """The files of that format in the folders of KEIM_EXTRA_VECTORS."""
    folders = [Path(part) for part in os.environ.get("KEIM_EXTRA_VECTORS", "").split(os.pathsep) if part]
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"KEIM_EXTRA_VECTORS names {folder}, which is no folder")
    files = [path for folder in folders for path in sorted(folder.rglob("*.json"))]
    return [path for path in files if format_of(path) == format_name]


def vector_files(name: str) -> list[Path]:
    """Where vectors of `crypto.json` or `objects.json` may stand: shared folder, our own, extra folders."""
    format_name = name.removesuffix(".json")
    files = []
    folder = shared_dir()
    if folder is not None and (folder / "spec" / "vectors" / name).is_file():
        files.append(folder / "spec" / "vectors" / name)
    files += sorted(path for path in DATA.glob("*.json") if format_of(path) == format_name)
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
