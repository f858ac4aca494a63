"""What KEIM_EXTRA_VECTORS leads to is recognised by its content, run, or reported; nothing is passed over."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.vectors.loading import (
    CRYPTO,
    OBJECTS,
    document,
    entries_of,
    extra_vector_files,
    formats_of,
    unused_extra_files,
)

ENTRY = {"type": "EnablePsmo", "der": "30"}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "formats"),
    [
        ({"about": {"title": "crypto test vectors of somebody"}}, {CRYPTO}),
        ({"about": "of somebody", "signatures": []}, {CRYPTO}),
        ({"certificate_chains": [], "certificates": {}}, {CRYPTO}),
        ({"bpp": []}, {CRYPTO}),
        ({"format": "sgp32-objects-2", "entries": []}, {OBJECTS}),
        ({"entries": [ENTRY]}, {OBJECTS}),
        ([ENTRY, ENTRY], {OBJECTS}),
        ({"entries": [ENTRY], "kdf": []}, {CRYPTO, OBJECTS}),
        ({"entries": [{"id": "x"}]}, set()),
        ({"entries": []}, set()),
        ({}, set()),
        ([], set()),
        ("text", set()),
        ({"about": {"title": "other things"}}, set()),
    ],
    ids=lambda value: json.dumps(value)[:50] if not isinstance(value, set) else "",
)
def test_a_file_is_recognised_by_its_content(tmp_path: Path, content: object, formats: set[str]) -> None:
    assert formats_of(written(tmp_path, "any", json.dumps(content))) == formats


def test_a_file_that_is_no_json_is_of_no_format(tmp_path: Path) -> None:
    assert formats_of(written(tmp_path, "broken", "{")) == set()
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"bpp": "\xff"}')
    assert formats_of(latin) == set()


def test_entries_without_an_id_get_one(tmp_path: Path) -> None:
    path = written(tmp_path, "any", json.dumps([ENTRY, ENTRY | {"id": "mine"}]))
    assert [entry["id"] for entry in document(path)["entries"]] == ["entry-0", "mine"]


def test_extra_files_are_run_or_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    crypto = written(folder, "a", json.dumps({"eid": [{"id": "one", "eid": "8"}]}))
    objects = written(tmp_path, "b", json.dumps([ENTRY]))
    unknown = written(folder, "c", json.dumps({"cases": []}))
    monkeypatch.setenv("KEIM_EXTRA_VECTORS", os.pathsep.join((str(folder), str(objects))))
    assert extra_vector_files(CRYPTO) == [crypto]
    assert extra_vector_files(OBJECTS) == [objects]
    assert unused_extra_files() == [unknown]
    assert "a-one" in [param.id for param in entries_of("crypto.json", "eid")]


def test_a_place_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEIM_EXTRA_VECTORS", str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match="typo"):
        extra_vector_files(CRYPTO)
