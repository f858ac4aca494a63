"""`keim eim init` with nonsense: one sentence, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.server_processes import keim


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "pki"
    assert keim("pki", "init", str(folder)).returncode == 0
    return folder


@pytest.mark.parametrize(
    "nonsense",
    [
        ("--eim-id", "a" * 129),
        ("--eim-id", "a\nb"),
        ("--counter", "-1"),
        ("--counter", "8388608"),
        ("--counter", "9" * 5000),
        ("--counter", "many"),
        ("--pki", "9" * 300),
    ],
)
def test_what_cannot_be_told_to_euiccs_makes_no_database_and_no_token(
    tmp_path: Path, pki: Path, nonsense: tuple[str, str]
) -> None:
    store = tmp_path / "eim.db"
    done = keim("eim", "init", "--pki", str(pki), "--store", str(store), *nonsense)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
    again = keim("eim", "init", "--pki", str(pki), "--store", str(store))
    assert "first admin token" in again.stdout
