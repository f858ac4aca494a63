"""The mutations that README.md of the minimal packages lists: each gives its stated verdict and lint rule."""

from __future__ import annotations

from typing import Any

import pytest
from tests.vectors.profile_data import MINIMAL_NAMES, package_octets

from keim.der import AnyTlv, encode, tlv, walk
from keim.saip import (
    BrokenPackage,
    Package,
    PackageRefused,
    Platform,
    Severity,
    Status,
    install,
    instantiate,
    lint,
)
from keim.saip.elements import (
    AkaParameter,
    AlgorithmConfiguration,
    IotOptions,
    PeHeader,
    PinCodes,
    PinCodesChoice,
    ProfileHeader,
    SecurityDomain,
)
from keim.saip.file_element import FileSystemElement
from keim.saip.platform import OWN_SERVICES

IOT = [name for name in MINIMAL_NAMES if name.startswith("iot")]


def package(name: str) -> Package:
    return Package.decode(package_octets(name))


def header(changed: Package, **changes: Any) -> Package:
    value = changed.elements[0].value
    assert isinstance(value, ProfileHeader)
    return changed.replace(0, value.replace(**changes))


def of_type(changed: Package, type_: Any) -> Any:
    return next(changed.values(type_))


def refusal(changed: Package | bytes, platform: Platform | None = None) -> PackageRefused:
    decoded = Package.decode(changed) if isinstance(changed, bytes) else changed
    with pytest.raises(PackageRefused) as caught:
        instantiate(decoded, platform or Platform())
    assert caught.value.statuses[-1].status is caught.value.status
    return caught.value


def rules(changed: Package | bytes, severity: Severity | None = None) -> set[str]:
    return {f.rule for f in lint(changed) if severity is None or f.severity is severity}


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_without_its_end_a_package_is_refused(name: str) -> None:
    changed = package(name).remove(len(package(name)) - 1)
    assert refusal(changed).rule == "ORD-END"
    assert "ORD-END" in rules(changed, Severity.ERROR)


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_a_header_in_second_place_is_refused(name: str) -> None:
    first, second, *rest = package(name).elements
    changed = Package.of((second, first, *rest))
    assert refusal(changed).status is Status.INVALID_REQUEST_FORMAT
    assert "ORD-HEADER" in rules(changed, Severity.ERROR)


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_two_elements_with_one_identification_are_refused(name: str) -> None:
    original = package(name)
    end = original.elements[-1].value
    changed = original.replace(
        len(original) - 1, end.replace(header=PeHeader(mandated=True, identification=1))
    )
    found = refusal(changed)
    assert (found.status, found.rule, found.index) == (Status.BAD_VALUES, "ID-UNIQUE", len(original) - 1)
    assert "ID-UNIQUE" in rules(changed, Severity.ERROR)


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_major_version_4_is_refused(name: str) -> None:
    changed = header(package(name), major_version=4)
    assert refusal(changed).status is Status.UNSUPPORTED_PROFILE_VERSION
    assert "VER-MAJOR" in rules(changed, Severity.ERROR)


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_minor_version_99_installs(name: str) -> None:
    changed = header(package(name), minor_version=99)
    assert instantiate(changed) == instantiate(package(name))
    assert "VER-MINOR" in rules(changed, Severity.INFO)


def test_a_pe_iot_without_iot_options_is_refused() -> None:
    changed = header(package("iot-2-auth"), iot_options=None)
    assert (refusal(changed).status, refusal(changed).rule) == (Status.BAD_VALUES, "IOT-OPTIONS")
    assert "IOT-OPTIONS" in rules(changed, Severity.ERROR)


def test_iot_options_in_a_full_profile_are_refused_by_every_card() -> None:
    changed = header(package("usim-6-classic"), iot_options=IotOptions(pix=bytes.fromhex("1002FF49FF0589")))
    assert refusal(changed).status is Status.BAD_VALUES
    assert refusal(changed, Platform(has_iot_minimal=False)).status is Status.FEATURE_NOT_SUPPORTED
    assert "IOT-OPTIONS" in rules(changed, Severity.ERROR)


def test_a_pix_of_six_octets_is_refused() -> None:
    changed = header(package("iot-2-auth"), iot_options=IotOptions(pix=bytes.fromhex("1002FF49FF05")))
    assert (refusal(changed).status, refusal(changed).rule) == (Status.INVALID_PARAMETER, "SIZE")
    assert "SIZE" in rules(changed, Severity.ERROR)


def test_a_pe_mf_in_an_iot_profile_is_refused() -> None:
    mf = package("usim-6-classic").elements[1]
    changed = package("iot-2-auth").insert(1, mf)
    assert refusal(changed).rule in ("IOT-NOMF", "ID-UNIQUE")
    assert "IOT-NOMF" in rules(changed, Severity.ERROR)


def with_template(changed: Package, name: str, *, mandated: bool) -> Package:
    element, value = changed.file_element(name) or pytest.fail(f"no {name}")
    head = PeHeader(mandated=mandated, identification=value.header.identification)
    return changed.replace(element.index, FileSystemElement(value.tag, head, "2.23.143.1.2.99", value.fields))


def test_an_unknown_template_of_a_mandated_element_is_refused() -> None:
    changed = with_template(package("iot-2-auth"), "iot", mandated=True)
    found = refusal(changed)
    assert (found.status, found.index, found.tag) == (Status.TEMPLATE_NOT_SUPPORTED, 1, 0xBF20)
    assert found.statuses[-1].identification == 1
    assert "TPL-UNKNOWN" in rules(changed, Severity.ERROR)


def test_an_unknown_template_of_another_element_is_told_and_left_out() -> None:
    changed = with_template(package("iot-4-opt"), "opt-iot", mandated=False)
    installed = install(changed)
    assert [s.status for s in installed.statuses] == [Status.TEMPLATE_NOT_SUPPORTED, Status.OK]
    assert installed.statuses[0].identification == 2
    paths = {installed.file_system.path(key) for key, _ in installed.file_system.walk()}
    assert "ADF.USIM/6F07" in paths
    assert "ADF.USIM/6F42" not in paths
    assert "TPL-UNKNOWN" in rules(changed, Severity.ERROR)


def test_two_sets_of_authentication_parameters_are_refused() -> None:
    original = package("iot-2-auth")
    element, value = of_type(original, AkaParameter)
    again = value.replace(header=PeHeader(mandated=True, identification=77))
    changed = original.insert(element.index + 1, again)
    assert (refusal(changed).status, refusal(changed).rule) == (Status.BAD_VALUES, "AKA-DUP")
    assert "AKA-DUP" in rules(changed, Severity.ERROR)


def test_a_key_of_15_octets_is_refused() -> None:
    original = package("iot-2-auth")
    element, value = of_type(original, AkaParameter)
    parameter = value.algo_configuration.algo_parameter
    short = AlgorithmConfiguration(algo_parameter=parameter.replace(key=parameter.key[:15]))
    changed = original.replace(element.index, value.replace(algo_configuration=short))
    assert (refusal(changed).status, refusal(changed).rule) == (Status.INVALID_PARAMETER, "AKA-KEYLEN")
    assert "AKA-KEYLEN" in rules(changed, Severity.ERROR)


def test_a_demanded_service_that_the_card_lacks_is_refused() -> None:
    original = package("iot-2-auth")
    services = original.header.mandatory_services.replace(csim=True) if original.header else None
    changed = header(original, mandatory_services=services)
    found = refusal(changed, Platform(services=OWN_SERVICES - {"csim"}))
    assert found.status is Status.FEATURE_NOT_SUPPORTED
    assert instantiate(changed).iccid == original.iccid
    assert rules(changed, Severity.ERROR) == set()


def test_a_pin_whose_puk_is_missing_is_refused() -> None:
    original = package("iot-5-pin-tuak")
    changed = original.remove(original.named("pukCodes")[0].index)
    assert (refusal(changed).status, refusal(changed).rule) == (Status.BAD_VALUES, "PIN-PUKREF")
    assert "PIN-PUKREF" in rules(changed, Severity.ERROR)


def test_a_global_pin_in_an_iot_profile_installs_with_a_warning() -> None:
    original = package("iot-5-pin-tuak")
    element, value = of_type(original, PinCodes)
    (pin,) = value.pin_codes.pinconfig
    pins = PinCodesChoice(pinconfig=(pin.replace(key_reference=1),))
    changed = original.replace(element.index, value.replace(pin_codes=pins))
    fs = instantiate(changed)
    found = fs.pin_context((fs.adfs[0].fid,), 1)
    assert found is not None
    assert found[1].value == pin.pin_value
    assert "PIN-CONTEXT" in rules(changed, Severity.WARNING)
    assert rules(changed, Severity.ERROR) == set()


def test_two_domain_keys_of_one_number_are_refused() -> None:
    original = package("iot-3-mnosd")
    element, value = of_type(original, SecurityDomain)
    changed = original.replace(element.index, value.replace(key_list=(*value.key_list, value.key_list[0])))
    assert refusal(changed).rule == "SD-KEYDUP"
    assert "SD-KEYDUP" in rules(changed, Severity.ERROR)


def test_a_missing_global_pin_is_refused() -> None:
    original = package("usim-6-classic")
    changed = original.remove(original.named("pinCodes")[0].index)
    found = refusal(changed)
    assert (found.status, found.rule, found.index) == (Status.PIN_CODE_MISSING, "PIN-MISSING", 1)
    assert "PIN-MISSING" in rules(changed, Severity.ERROR)


def with_content(changed: Package, name: str, field: str, content: bytes) -> Package:
    element, value = changed.file_element(name) or pytest.fail(f"no {name}")
    found = value.get(field)
    assert found is not None
    items = tuple(
        item.replace(fill_file_content=content) if item.fill_file_content is not None else item
        for item in found.items or ()
    )
    return changed.replace(element.index, value.with_field(field, items))


def test_content_beyond_the_end_of_its_file_is_refused() -> None:
    changed = with_content(package("usim-6-classic"), "usim", "ef-imsi", bytes(10))
    found = refusal(changed)
    assert (found.status, found.rule) == (Status.BAD_VALUES, "FILE-OVERRUN")
    assert found.finding.path == "ef-imsi"
    assert found.offset is not None
    assert changed.encode()[found.offset] == 0xA3
    assert "FILE-OVERRUN" in rules(changed, Severity.ERROR)


def test_an_ef_iccid_that_differs_from_the_header_installs() -> None:
    other = bytes.fromhex("98940000000000000000")
    changed = with_content(package("usim-6-classic"), "mf", "ef-iccid", other)
    fs = instantiate(changed)
    assert fs.file("MF/2FE2").content == other
    assert fs.iccid.octets != other
    assert "ICCID-MATCH" in rules(changed, Severity.ERROR)


@pytest.mark.parametrize("name", MINIMAL_NAMES)
@pytest.mark.parametrize("more", [b"\x00", b"\xaa", bytes.fromhex("AA07A0058000810108")])
def test_octets_after_the_end_are_refused(name: str, more: bytes) -> None:
    octets = package_octets(name) + more
    if len(more) == 1:
        with pytest.raises(BrokenPackage) as caught:
            Package.decode(octets)
        assert (caught.value.rule, caught.value.offset) == ("TRAILING", len(octets) - 1)
        assert rules(octets) == {"TRAILING"}
    else:
        assert refusal(octets).status is Status.INVALID_REQUEST_FORMAT
        assert "ORD-END" in rules(octets)


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_a_cut_off_package_is_refused(name: str) -> None:
    octets = package_octets(name)[:-3]
    with pytest.raises(BrokenPackage) as caught:
        Package.decode(octets)
    assert (caught.value.rule, caught.value.index) == ("DER", len(package(name)) - 1)
    assert rules(octets) == {"DER"}


@pytest.mark.parametrize("name", MINIMAL_NAMES)
def test_lengths_in_more_octets_than_needed_are_read_and_never_written(name: str) -> None:
    original = package(name)
    end = original.elements[-1].raw
    octets = original.encode()[: -len(end)] + b"\xaa\x81" + end[1:]
    lenient = Package.decode(octets)
    assert lenient.encode() == octets
    assert instantiate(lenient) == instantiate(original)
    assert lenient.elements[-1].value is not None
    assert lenient.elements[-1].value.encode() == end
    assert rules(octets, Severity.ERROR) == {"DER"}


@pytest.mark.parametrize(
    ("tag", "is_mandated", "verdict"),
    [
        (0xBF7A, True, Status.PE_NOT_SUPPORTED),
        (0xBF7A, False, Status.OK),
        (0xAB, True, Status.PE_NOT_SUPPORTED),
    ],
)
def test_an_unknown_element_is_kept_and_judged_by_its_mandated(
    tag: int, is_mandated: bool, verdict: Status
) -> None:
    original = package("iot-2-auth")
    head = encode(PeHeader(mandated=is_mandated, identification=50))
    unknown = tlv(tag, head, bytes.fromhex("8103112233"))
    octets = original.encode()[: -len(original.elements[-1].raw)] + unknown + original.elements[-1].raw
    changed = Package.decode(octets)
    assert changed.encode() == octets
    if verdict is Status.OK:
        installed = install(changed)
        assert installed.file_system == instantiate(original)
        assert [s.status for s in installed.statuses] == [Status.PE_NOT_SUPPORTED, Status.OK]
    else:
        assert refusal(changed).status is verdict
    assert "PE-UNKNOWN" in rules(changed)


def test_an_unknown_field_inside_an_element_survives_an_edit_of_another() -> None:
    """An extension of a later version at the end of the header stays where it is."""
    original = package("iot-2-auth")
    raw = original.elements[0].raw
    inside = b"".join(raw[part.start : part.end] for part in walk(raw, 2))
    extended = tlv(0xA0, inside, AnyTlv(bytes.fromhex("9F220155")))
    octets = extended + original.encode()[len(raw) :]
    from keim.saip.edit import with_iccid

    edited = with_iccid(Package.decode(octets), "8949000000000000014")
    assert edited.iccid == "8949000000000000014"
    assert edited.elements[0].raw.endswith(bytes.fromhex("9F220155"))
    assert [e.raw for e in edited.elements[1:]] == [e.raw for e in original.elements[1:]]
