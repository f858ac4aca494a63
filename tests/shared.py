"""Data of others that tests read in place and that is never copied into the repository.

The folder is named by KEIM_SHARED (default: `../shared` beside the checkout). Without it the tests that need
it are skipped, with one loud line at the end of the run; with KEIM_REQUIRE_SHARED=1 (as `.ci/run` sets) its
absence fails.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

needs_shared = pytest.mark.needs_shared
"""Put it on a test (or as `pytestmark` in a module) that reads the folder while it runs."""


def needs_system(need: str) -> pytest.MarkDecorator:
    """Marks a test that needs a row of tests/system_packages.toml, by the row's name."""
    return pytest.mark.needs_system(need)


def is_shared_required() -> bool:
    return os.environ.get("KEIM_REQUIRE_SHARED", "") not in {"", "0"}


def wanted_shared_dir() -> Path:
    return (ROOT / os.environ.get("KEIM_SHARED", "../shared")).resolve()


def shared_dir() -> Path | None:
    """The folder, or None where it is absent and nobody requires it; safe to call during collection."""
    folder = wanted_shared_dir()
    if (folder / "spec").is_dir():
        return folder
    if is_shared_required():
        raise FileNotFoundError(
            f"KEIM_REQUIRE_SHARED is set, and {folder} (KEIM_SHARED) is no folder with spec/ in it"
        )
    return None


def shared_path(relative: str) -> Path:
    """A path inside of the folder; skips the running test where the folder is absent."""
    folder = shared_dir()
    if folder is None:
        pytest.skip(f"needs the folder named by KEIM_SHARED ({wanted_shared_dir()})")
    return folder / relative
