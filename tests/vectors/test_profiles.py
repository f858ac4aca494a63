"""Known profile packages: byte identity, elements, and the file system that installing each makes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from tests.shared import needs_shared
from tests.vectors.profile_data import MINIMAL_NAMES, expectations, package_octets, public_packages

from keim.saip import Directory, Ef, Package, Source, Structure, instantiate, lint
from keim.saip.access import parse_rule
from keim.saip.elements import Fcp
from keim.saip.file_element import FileField, FileSystemElement
from keim.saip.package import WRITER

PUBLIC = public_packages()
EVERY_PACKAGE = [pytest.param(package_octets(name), id=name) for name in MINIMAL_NAMES] + [
    pytest.param(path.read_bytes(), id=path.stem) for path in PUBLIC
]

# our name -> the name of the ASN.1 module, where it is not the same without case, dashes and underscores
_MODULE_NAMES = {
    "mandatory_services": "eUICC-Mandatory-services",
    "mandatory_gfste_list": "eUICC-Mandatory-GFSTEList",
    "mandatory_aids": "eUICC-Mandatory-AIDs",
    "pin_status_template": "pinStatusTemplateDO",
    "short_ef_id": "shortEFID",
    "tries": "maxNumOfAttemps-retryNumLeft",
    "application_specific_parameters": "applicationSpecificParametersC9",
    "uicc_toolkit": "uiccToolkitApplicationSpecificParametersField",
    "load_package_aid": "applicationLoadPackageAID",
}


@needs_shared
def test_the_public_packages_are_all_there() -> None:
    assert len(PUBLIC) == 10


@pytest.mark.parametrize("octets", EVERY_PACKAGE)
def test_a_package_round_trips_to_the_letter(octets: bytes) -> None:
    package = Package.decode(octets, WRITER)
    assert package.encode() == octets


@pytest.mark.parametrize("octets", EVERY_PACKAGE)
def test_every_element_and_every_file_re_encodes_from_its_values(octets: bytes) -> None:
    for element in Package.decode(octets):
        assert element.value is not None
        assert element.value.encode() == element.raw
        if isinstance(element.value, FileSystemElement):
            for field in element.value.fields:
                assert field.items is not None
                assert FileField.of(field.tag, field.items).raw == field.raw


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_size_and_hash_are_as_expected(name: str) -> None:
    expected, octets = expectations(name), package_octets(name)
    assert (len(octets), hashlib.sha256(octets).hexdigest()) == (expected["bytes"], expected["sha256"])


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_elements_are_as_expected(name: str) -> None:
    package = Package.decode(package_octets(name))
    expected = expectations(name)["elements"]
    assert len(package) == len(expected)
    for element, wanted in zip(package, expected, strict=True):
        found = {
            "index": element.index,
            "offset": element.offset,
            "length": len(element.raw),
            "tag": f"{element.tag:X}",
            "element": element.name,
            "identification": element.identification,
        }
        assert found == {key: wanted[key] for key in found}
        assert _plain(element.value) == _normalised(wanted["value"])


def _normalised(value: Any) -> Any:
    """Expectations with names that compare: lower case, no dashes; any element header is `header`."""
    if isinstance(value, list):
        return [_normalised(entry) for entry in value]
    if isinstance(value, dict):
        return {_name(key): _normalised(entry) for key, entry in value.items()}
    return value


def _name(key: str) -> str:
    lower = key.lower().replace("-", "").replace("_", "")
    return "header" if lower.endswith("header") else lower


def _plain(value: Any) -> Any:
    """Our values in the form of the expectations."""
    if isinstance(value, FileSystemElement):
        plain: dict[str, Any] = {"header": _plain(value.header), "templateid": value.template_id}
        for field in value.fields:
            row = value.row(field)
            assert row is not None
            plain[_name(row.field)] = [_plain(item) for item in field.items or ()]
        return plain
    if isinstance(value, bytes):
        return value.hex().upper()
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, bool) or not hasattr(value, "__struct_fields__"):
        return value
    defaults = dict(zip(reversed(value.__struct_fields__), reversed(value.__struct_defaults__), strict=False))
    plain = {}
    for name in value.__struct_fields__:
        part = getattr(value, name)
        if name in ("raw", "ext", "unknown") or (name in defaults and part == defaults[name]):
            continue
        known = (
            "ef-file-size"
            if isinstance(value, Fcp) and name == "ef_file_size"
            else _MODULE_NAMES.get(name, name)
        )
        plain[_name(known)] = _plain(part)
    return plain


_KINDS = {
    Structure.TRANSPARENT: "TR",
    Structure.LINEAR: "LF",
    Structure.CYCLIC: "CY",
    Structure.BER_TLV: "BT",
    Structure.MF: "MF",
    Structure.DF: "DF",
    Structure.ADF: "ADF",
}


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_the_installed_file_system_is_as_expected(name: str) -> None:
    fs = instantiate(Package.decode(package_octets(name)))
    found = {fs.path(key).replace("ADF.USIM", "ADF"): node for key, node in fs.walk()}
    expected = {entry["path"]: entry for entry in expectations(name)["fileSystem"]}
    assert set(found) == set(expected)
    for path, wanted in expected.items():
        node = found[path]
        assert (node.name, _KINDS[node.structure]) == (wanted["name"], wanted["type"])
        if "securityAttributesReferenced" in wanted:
            assert node.rule.hex().upper() == wanted["securityAttributesReferenced"]
        if isinstance(node, Directory):
            _compare_directory(node, wanted)
        else:
            _compare_file(node, wanted)


def _compare_directory(node: Directory, wanted: dict[str, Any]) -> None:
    if wanted["type"] == "ADF":
        assert node.aid is not None
        assert node.aid.hex().upper() == wanted["dfName"]
    if "pinStatusTemplateDO" in wanted:
        assert node.pin_references.hex().upper() == wanted["pinStatusTemplateDO"]


def _compare_file(node: Ef, wanted: dict[str, Any]) -> None:
    if wanted["source"] == "undefined":
        assert node.source is Source.ASSUMED
        return
    assert (node.content.hex().upper(), node.size, node.source.value) == (
        wanted["content"],
        wanted["size"],
        wanted["source"],
    )
    assert (node.records, node.record_length) == (wanted.get("records", 0), wanted.get("recordLength", 0))


@pytest.mark.parametrize("name", [n for n in MINIMAL_NAMES if n != "iot-1-grammar"])
def test_credentials_are_as_expected(name: str) -> None:
    parameters = expectations(name)["parameters"]
    fs = instantiate(Package.decode(package_octets(name)))
    (credentials,) = fs.authentications
    assert parameters["algorithm"].startswith(credentials.algorithm.name.lower())
    assert (credentials.key.hex().upper(), credentials.opc.hex().upper()) == (
        parameters["k"],
        parameters["opc"],
    )
    assert fs.iccid == parameters["iccid"]
    assert fs.authentication(fs.adfs[0].aid or b"") == credentials


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_our_own_packages_have_no_lint_errors(name: str) -> None:
    assert [str(f) for f in lint(package_octets(name)) if f.severity.value == "error"] == []


@needs_shared
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in PUBLIC])
def test_public_packages_install_and_their_lint_errors_are_the_known_ones(path: Path) -> None:
    octets = path.read_bytes()
    fs = instantiate(Package.decode(octets))
    errors = {(f.rule, f.path) for f in lint(octets) if f.severity.value == "error"}
    if path.stem.startswith("small"):
        # refers to records of EF.ARR that its shortened EF.ARR does not have
        assert {rule for rule, _ in errors} == {"ARR-REF"}
    elif "SUCI" in path.stem:
        # EF.ARR of the ISIM ends one record before the one that 6FFE refers to
        assert errors == {("ARR-REF", "ADF.ISIM/6FFE")}
        assert len(fs.adfs) == 3
    else:
        assert errors == set()
        assert [adf.name for adf in fs.adfs] == ["adf-usim", "adf-csim", "adf-isim"]


@needs_shared
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in PUBLIC if "TS48" in path.stem])
def test_ts48_access_rules_links_and_domains_are_resolved(path: Path) -> None:
    fs = instantiate(Package.decode(path.read_bytes()))
    rules = fs.file("MF/2F06")
    assert all(parse_rule(rules.record(number)) for number in range(1, 15))
    assert rules.record(2).startswith(bytes.fromhex("800101900080015AA40683010A950108"))
    assert fs.file("MF/2F00").record(2)[:4] == bytes.fromhex("61144F0C")
    linked = fs.key_of("MF/7F10/6F3A")
    assert fs.path(fs.target(linked)) == "MF/7F10/5F3A/4F3A"
    assert fs.file("MF/7F10/6F3A").content == fs.file("MF/7F10/5F3A/4F3A").content
    (domain,) = fs.security_domains
    assert domain.aid.hex() == "a000000151000000"
    assert [(k.version, k.identifier, k.type) for k in domain.keys] == [
        *((1, n, 0x80) for n in (1, 2, 3)),
        *((2, n, 0x88) for n in (1, 2, 3)),
    ]
    assert domain.application.tars == (bytes.fromhex("B20100"), bytes(3))
    assert [r.tars[0].hex().upper() for r in fs.remote] == ["B00120", "B00140", "B00141", "B00142"]
    usim = fs.key_of("ADF.USIM")
    assert fs.pin_context(usim, 0x81) is not None
    assert fs.pin_context(usim, 0x81)[0] == usim  # type: ignore[index] - asserted above
    assert fs.pin_context(usim, 0x01)[0] == (0x3F00,)  # type: ignore[index] - defined in the MF
