"""Every object vector is one test: decoded and encoded to the letter, refused or tolerated as it says.

KEIM_EXTRA_VECTORS names folders with more files of the same format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.vectors.loading import DATA, OBJECTS, document, extra_vector_files

from keim.der import RELAY, STRICT, TOLERANT, V1_0, decode, encode, from_plain, to_plain
from keim.errors import Malformed
from keim.messages.roots import all_types


def _entries(wanted: str) -> list[Any]:
    files: list[Path] = [DATA / "objects.json", *extra_vector_files(OBJECTS)]
    return [
        pytest.param(entry, id=f"{path.stem}-{entry['id']}" if number else entry["id"])
        for number, path in enumerate(files)
        for entry in document(path)["entries"]
        if _sort(entry) == wanted
    ]


def _sort(entry: dict[str, Any]) -> str:
    if entry.get("invalid"):
        return "invalid"
    if entry.get("peer"):
        return "peer"
    return "extended" if entry.get("tolerate") else "valid"


def _type(entry: dict[str, Any]) -> Any:
    return all_types()[entry["type"]]


@pytest.mark.parametrize("entry", _entries("valid"))
def test_a_valid_object_is_decoded_to_its_value_and_encoded_to_its_octets(entry: dict[str, Any]) -> None:
    kind, octets = _type(entry), bytes.fromhex(entry["der"])
    for tolerances in (STRICT, TOLERANT, RELAY):
        value = decode(kind, octets, tolerances)
        assert to_plain(value, kind) == entry["value"]
        assert encode(value, kind) == octets
    ours = from_plain(kind, entry.get("encode_from", entry["value"]))
    assert encode(ours, kind) == octets


@pytest.mark.parametrize("entry", _entries("invalid"))
def test_an_invalid_object_is_refused_with_its_place(entry: dict[str, Any]) -> None:
    kind, octets = _type(entry), bytes.fromhex(entry["der"])
    with pytest.raises(Malformed) as caught:
        decode(kind, octets)
    assert 0 <= caught.value.offset <= len(octets)
    assert caught.value.path
    if entry["severity"] == "fatal":
        with pytest.raises(Malformed):
            decode(kind, octets, TOLERANT)


@pytest.mark.parametrize("entry", _entries("extended"))
def test_unknown_elements_and_codes_are_kept_and_written_again(entry: dict[str, Any]) -> None:
    kind, octets = _type(entry), bytes.fromhex(entry["der"])
    value = decode(kind, octets)
    assert to_plain(value, kind) == entry["value"]
    assert encode(value, kind) == octets
    assert all(bytes.fromhex(unknown) in octets for unknown in entry["unknown"])


@pytest.mark.parametrize("entry", _entries("peer"))
def test_the_form_of_a_known_peer_is_refused_strictly_and_read_tolerantly(entry: dict[str, Any]) -> None:
    kind, octets = _type(entry), bytes.fromhex(entry["der"])
    is_old = entry["peer"].startswith("SGP.32 v1.0")  # a profile of its own, in no other set
    for refusing in (STRICT, TOLERANT, RELAY) if is_old else (STRICT,):
        try:
            found = to_plain(decode(kind, octets, refusing), kind)
        except Malformed:
            found = None
        assert found != entry["value"]
    accepting = TOLERANT | V1_0 if is_old else TOLERANT
    assert to_plain(decode(kind, octets, accepting), kind) == entry["value"]
    assert encode(from_plain(kind, entry["value"]), kind).hex() == entry["canonical_der"]
