"""Lint: every rule of the catalogue has a package that breaks it, and a good package breaks none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.saip.making import (
    DOMAIN,
    changed,
    fcp,
    fill,
    pe_header,
    profile,
    unknown_element,
    with_commands,
    with_steps,
)

from keim.der import Oid, tlv
from keim.saip import Package, Platform, Severity, lint
from keim.saip.edit import with_file
from keim.saip.elements import (
    AkaParameter,
    AlgorithmConfiguration,
    Application,
    ApplicationInstance,
    Fcp,
    FileItem,
    FileManagement,
    GenericFileManagement,
    IotOptions,
    MandatoryAid,
    MappingParameter,
    PinCodes,
    PinCodesChoice,
    PinConfiguration,
    SecurityDomain,
)
from keim.saip.file_element import FileSystemElement, new_element
from keim.saip.linter import finding_document, sarif
from keim.saip.rules.catalogue import RULES

BER_TLV = Fcp(
    file_descriptor=b"\x79\x21",
    file_id=b"\x2f\x77",
    security_attributes_referenced=b"\x0a",
    ef_file_size=b"\x10",
)
AID = bytes.fromhex("A0000000990102030405")


def iot() -> Package:
    return profile(**DOMAIN)


def full() -> Package:
    return profile("full", **DOMAIN)


def moved(package: Package, name: str, to: int) -> Package:
    element = package.named(name)[0]
    return package.remove(element.index).insert(to, element)


def header(package: Package, **changes: Any) -> Package:
    return changed(package, "header", **changes)


def services(package: Package, **changes: Any) -> Package:
    value = package.header
    assert value is not None
    return header(package, mandatory_services=value.mandatory_services.replace(**changes))


def aka(package: Package, **changes: Any) -> Package:
    parameter = next(package.values(AkaParameter))[1].algo_configuration.algo_parameter
    assert parameter is not None
    return changed(
        package,
        "akaParameter",
        algo_configuration=AlgorithmConfiguration(algo_parameter=parameter.replace(**changes)),
    )


def retemplated(package: Package, name: str, template: str) -> Package:
    found = package.file_element(name)
    assert found is not None
    element, value = found
    return package.replace(element.index, FileSystemElement(value.tag, value.header, template, value.fields))


def instance(**changes: Any) -> ApplicationInstance:
    base: dict[str, Any] = {
        "load_package_aid": AID,
        "class_aid": AID,
        "instance_aid": AID,
        "application_privileges": b"\x00",
        "application_specific_parameters": b"",
    }
    return ApplicationInstance(**(base | changes))


def application(**changes: Any) -> Application:
    return Application(header=pe_header(90), instance_list=(instance(**changes),))


def domain(package: Package, **changes: Any) -> Package:
    value = next(package.values(SecurityDomain))[1]
    return changed(package, "securityDomain", instance=value.instance.replace(**changes))


def before_end(package: Package, *values: Any) -> Package:
    return package.insert(len(package) - 1, *values)


def mapping(package: Package) -> Package:
    source = MappingParameter(mapping_options=b"\x06", mapping_source=AID)
    return changed(
        package, "akaParameter", algo_configuration=AlgorithmConfiguration(mapping_parameter=source)
    )


def two_keys(package: Package) -> Package:
    keys = next(package.values(SecurityDomain))[1].key_list or ()
    return changed(package, "securityDomain", key_list=(*keys, keys[0]))


def second_pins(package: Package) -> Package:
    element, value = next(package.values(PinCodes))
    return package.insert(element.index + 1, value.replace(header=pe_header(91)))


def pin(package: Package, **changes: Any) -> Package:
    entry = PinConfiguration(key_reference=1, pin_value=b"0000\xff\xff\xff\xff").replace(**changes)
    return changed(package, "pinCodes", pin_codes=PinCodesChoice(pinconfig=(entry,)))


def renamed_fid(package: Package) -> Package:
    return with_steps(package, "iot", "ef-fplmn", fcp(file_id=b"\x6f\x07"))


def second_aka(package: Package) -> Package:
    element, value = next(package.values(AkaParameter))
    return package.insert(element.index + 1, value.replace(header=pe_header(92)))


BROKEN: dict[str, Callable[[], Package | bytes]] = {
    "DER": lambda: iot().encode()[:-1],
    "TRAILING": lambda: iot().encode() + b"\x00",
    "ORD-HEADER": lambda: moved(iot(), "header", 1),
    "ORD-END": lambda: iot().remove(len(iot()) - 1),
    "ID-UNIQUE": lambda: changed(iot(), "end", header=pe_header(1)),
    "VER-MAJOR": lambda: header(iot(), major_version=4),
    "VER-MINOR": lambda: header(iot(), minor_version=77),
    "VER-FEATURE": lambda: header(iot(), minor_version=1),
    "SIZE": lambda: header(iot(), iccid=bytes(9)),
    "SERVICE": lambda: services(iot(), ext=bytes.fromhex("9F2200")),
    "LIB-MISSING": lambda: header(iot(), mandatory_aids=(MandatoryAid(aid=AID, version=b"\x01\x00"),)),
    "PE-UNKNOWN": lambda: before_end(iot(), Package.decode(unknown_element(93)).elements[0]),
    "IOT-OPTIONS": lambda: header(iot(), iot_options=None),
    "IOT-NOMF": lambda: iot().insert(
        1, new_element("mf", 94, {"mf": (fcp(pin_status_template=b"\x01\x0a"),)})
    ),
    "IOT-FIRST": lambda: moved(iot(), "akaParameter", 1),
    "MF-FIRST": lambda: moved(full(), "opt-usim", 1),
    "PUK-PLACE": lambda: moved(full(), "pukCodes", 4),
    "NAA-ORDER": lambda: moved(full(), "opt-usim", 2),
    "TPL-UNKNOWN": lambda: retemplated(iot(), "iot", "2.23.143.1.2.99"),
    "TPL-VERSION": lambda: retemplated(full(), "usim", "2.23.143.1.2.4.2"),
    "TPL-PE": lambda: retemplated(full(), "usim", "2.23.143.1.2.8"),
    "AKA-CTX": lambda: moved(full(), "akaParameter", 2),
    "AKA-DUP": lambda: second_aka(iot()),
    "AKA-MAP": lambda: mapping(iot()),
    "AKA-KEYLEN": lambda: aka(iot(), key=bytes(15)),
    "AKA-SERVICE": lambda: services(iot(), milenage=False),
    "PIN-CONTEXT": lambda: pin(full(), key_reference=0x81),
    "PIN-ONCE": lambda: second_pins(full()),
    "PIN-PUKREF": lambda: pin(full(), unblocking_pin_reference=7),
    "PIN-MISSING": lambda: full().remove(full().named("pinCodes")[0].index),
    "ARR-REF": lambda: with_steps(iot(), "iot", "ef-fplmn", fcp(security_attributes_referenced=b"\x63")),
    "FCP-FIELDS": lambda: with_steps(iot(), "iot", "ef-fplmn", fcp(file_descriptor=b"\x07\x21")),
    "FCP-FID": lambda: renamed_fid(iot()),
    "FILE-OVERRUN": lambda: with_steps(iot(), "iot", "ef-fplmn", fill("00" * 13)),
    "FILE-REQUIRED": lambda: with_steps(full(), "usim", "ef-spn"),
    "DNC": lambda: with_steps(iot(), "opt-iot", "ef-epsnsc", FileItem(do_not_create=True)),
    "BERTLV": lambda: with_commands(iot(), FileManagement(create_fcp=BER_TLV)),
    "UST-FILES": lambda: with_file(iot(), "ADF.USIM/EF.UST", bytes.fromhex("0002") + bytes(15)),
    "DIR-AID": lambda: with_file(full(), "MF/EF.DIR", b"\xff" * 22),
    "ICCID-MATCH": lambda: with_file(full(), "MF/EF.ICCID", bytes(10)),
    "ICCID-LUHN": lambda: header(iot(), iccid=bytes.fromhex("8900101000000000123F")),
    "IMSI-FORM": lambda: with_file(iot(), "ADF.USIM/EF.IMSI", bytes.fromhex("0800" + "AA" * 7)),
    "ACC-DIGIT": lambda: with_file(iot(), "ADF.USIM/EF.ACC", b"\x00\x08"),
    "AD-MNC": lambda: with_file(iot(), "ADF.USIM/EF.AD", bytes(4)),
    "SD-NONE": profile,
    "SD-PLACE": lambda: moved(iot(), "akaParameter", len(iot()) - 2),
    "SD-FIRST": lambda: moved(iot(), "rfm", 4),
    "SD-MNO": lambda: domain(iot(), extradite_security_domain_aid=AID),
    "SD-KEYDUP": lambda: two_keys(iot()),
    "APP-SD": lambda: before_end(domain(iot(), life_cycle_state=b"\x07"), application()),
    "RFM-SD": lambda: domain(iot(), life_cycle_state=b"\x07"),
    "APP-REF": lambda: before_end(iot(), application()),
    "TAR-UNIQUE": lambda: changed(iot(), "rfm", tar_list=(bytes.fromhex("B20100"),)),
    "SEC-DEFAULTKEY": lambda: aka(iot(), key=bytes(16)),
    "SEC-WEAKMSL": lambda: changed(iot(), "rfm", minimum_security_level=b"\x00"),
    "IOT-ENERGY": lambda: with_file(iot(), "ADF.USIM/EF.HPPLMN", b"\x01"),
    "SIZE-BUDGET": lambda: profile(
        smsp="+491710760000", apn="iot.example.with.a.long.name." * 4 + "x", **DOMAIN
    ),
    "MEMORY": iot,
}
TOLD = Severity.ERROR, Severity.WARNING, Severity.INFO


@pytest.mark.parametrize("rule", sorted(RULES))
def test_every_rule_has_a_package_that_breaks_it(rule: str) -> None:
    platform = Platform(free_memory=100) if rule == "MEMORY" else None
    broken = BROKEN[rule]()
    findings = lint(broken, platform=platform) if platform else lint(broken)
    found = [f for f in findings if f.rule == rule]
    assert found, [str(f) for f in findings]
    assert found[0].severity is RULES[rule].severity
    if found[0].index is not None:
        assert found[0].element
        assert found[0].tag is not None
        assert found[0].offset is not None


@pytest.mark.parametrize("made", [iot, full])
def test_a_good_package_breaks_none(made: Callable[[], Package]) -> None:
    assert [str(f) for f in lint(made().encode())] == []


def test_findings_come_errors_first() -> None:
    broken = header(with_file(profile(), "ADF.USIM/EF.IMSI", bytes(9)), minor_version=77)
    order = [TOLD.index(f.severity) for f in lint(broken)]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}


def test_demanded_templates_that_nobody_knows_are_told() -> None:
    broken = header(iot(), mandatory_gfste_list=(Oid("2.23.143.1.2.99"),))
    assert [f.message for f in lint(broken) if f.rule == "TPL-UNKNOWN"] == [
        "template 2.23.143.1.2.99 is demanded and not known"
    ]


def test_an_empty_package_is_one_finding() -> None:
    assert [f.rule for f in lint(b"")] == ["ORD-HEADER"]


def test_iot_options_without_pe_iot_are_told() -> None:
    broken = header(full(), iot_options=IotOptions(pix=bytes(7)), minor_version=3, major_version=3)
    assert {"IOT-OPTIONS", "IOT-NOMF"} <= {f.rule for f in lint(broken)}


def test_offsets_in_management_commands_of_ber_tlv_files_are_told() -> None:
    management = GenericFileManagement(
        header=pe_header(95),
        commands=((FileManagement(create_fcp=BER_TLV), FileManagement(fill_file_offset=2)),),
    )
    package = iot()
    broken = package.insert(package.named("akaParameter")[0].index, management)
    assert "an offset makes no sense in a BER-TLV file" in {
        f.message for f in lint(broken) if f.rule == "BERTLV"
    }


def test_json_names_place_rule_and_fix() -> None:
    (found,) = [f for f in lint(BROKEN["ACC-DIGIT"]()) if f.rule == "ACC-DIGIT"]
    document = finding_document(found)
    assert document["rule"] == "ACC-DIGIT"
    assert document["path"] == "ADF.USIM/6F78"
    assert document["fix"] == RULES["ACC-DIGIT"].fix
    json.dumps(document)


def test_sarif_has_rules_levels_and_places() -> None:
    octets = BROKEN["FILE-OVERRUN"]()
    findings = lint(octets)
    document = sarif({"a.der": findings}, "1.2.3")
    (run,) = document["runs"]
    assert document["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(RULES)
    result = run["results"][0]
    assert (result["ruleId"], result["level"]) == ("FILE-OVERRUN", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "FILE-OVERRUN"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a.der"
    assert place["region"]["byteOffset"] == findings[0].offset


def test_the_reference_page_has_the_catalogue() -> None:
    """docs/reference/profile-lint.md is this table; make it anew when a rule changes."""
    from keim.saip.rules.catalogue import reference_page

    page = Path(__file__).parents[3] / "docs" / "reference" / "profile-lint.md"
    assert page.read_text(encoding="utf-8") == reference_page()


def test_unknown_elements_without_mandated_are_told_as_warnings() -> None:
    element = Package.decode(tlv(0xBF7A, pe_header(96, mandated=False).encode())).elements[0]
    assert "PE-UNKNOWN" in {f.rule for f in lint(before_end(iot(), element))}


def test_lists_that_are_there_are_not_empty() -> None:
    for name, field in (("securityDomain", "key_list"), ("rfm", "tar_list")):
        found = [f for f in lint(changed(iot(), name, **{field: ()})) if f.rule == "SIZE"]
        assert [(f.path, f.element) for f in found] == [(field, name)]
