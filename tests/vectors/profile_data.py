"""The profile packages of the tests: our own six with their expectations, and the public ones in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.shared import shared_dir

MINIMAL = Path(__file__).parent / "data" / "minimal"
MINIMAL_NAMES = sorted(path.stem for path in MINIMAL.glob("*.der"))


def package_octets(name: str) -> bytes:
    return (MINIMAL / f"{name}.der").read_bytes()


def expectations(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((MINIMAL / f"{name}.json").read_text())
    return document


def public_packages() -> list[Path]:
    """TS.48 and other public packages, read in place; none without the shared folder."""
    folder = shared_dir()
    return sorted((folder / "profiles").glob("*.der")) if folder is not None else []
