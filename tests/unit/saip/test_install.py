"""Installing: files, steps, links, PIN contexts, failures that leave no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shared import needs_shared
from tests.unit.saip.making import DOMAIN, VALUES, fcp, fill, profile, skip, with_commands, with_steps
from tests.vectors.profile_data import MINIMAL_NAMES, package_octets, public_packages

from keim.saip import (
    Ef,
    Package,
    PackageRefused,
    Platform,
    Source,
    Status,
    Structure,
    install,
    instantiate,
    recipe_of,
)
from keim.saip.elements import Fcp, FileItem, FileManagement, ProprietaryInfo
from keim.saip.file_element import FileSystemElement


def create(descriptor: str, fid: str, rule: int, **members: bytes) -> FileManagement:
    made = Fcp(
        file_descriptor=bytes.fromhex(descriptor),
        file_id=bytes.fromhex(fid),
        security_attributes_referenced=bytes((rule,)),
        **members,
    )
    return FileManagement(create_fcp=made)


def file(package: Package, path: str) -> Ef:
    return instantiate(package).file(path)


@pytest.mark.parametrize(
    ("steps", "content"),
    [
        ((fill("0102"),), "0102" + "FF" * 10),
        ((skip(2), fill("0102")), "FFFF0102" + "FF" * 8),
        ((fill("01"), skip(1), fill("02"), skip(1), fill("03")), "01FF02FF03" + "FF" * 7),
        ((fcp(ef_file_size=b"\x03"), fill("0102")), "0102FF"),
        ((fcp(ef_file_size=b"\x03"),), "FFFFFF"),
        ((fcp(proprietary_ef_info=ProprietaryInfo(fill_pattern=b"\x01\x02")),), "01" + "02" * 11),
        ((fcp(proprietary_ef_info=ProprietaryInfo(repeat_pattern=b"\x01\x02")),), "0102" * 6),
        (
            (fcp(proprietary_ef_info=ProprietaryInfo(repeat_pattern=b"\x01\x02")), skip(1), fill("AA")),
            "01AA" + "0102" * 5,
        ),
    ],
)
def test_content_is_the_pattern_with_the_steps_written_over_it(
    steps: tuple[FileItem, ...], content: str
) -> None:
    assert (
        file(with_steps(profile(), "iot", "ef-fplmn", *steps), "ADF.USIM/EF.FPLMN").content.hex().upper()
        == content
    )


def test_patterns_begin_anew_at_every_record() -> None:
    steps = (
        fcp(
            file_descriptor=bytes.fromhex("42210003"),
            ef_file_size=b"\x06",
            proprietary_ef_info=ProprietaryInfo(fill_pattern=b"\x0a\x0b"),
        ),
    )
    changed = with_steps(profile(smsp="+491710760000"), "opt-iot", "ef-smsp", *steps)
    assert file(changed, "ADF.USIM/6F42").content.hex() == "0a0b0b0a0b0b"


@pytest.mark.parametrize(
    ("steps", "rule", "status"),
    [
        ((fill("00" * 13),), "FILE-OVERRUN", Status.BAD_VALUES),
        ((skip(10), fill("010203")), "FILE-OVERRUN", Status.BAD_VALUES),
        ((fcp(security_attributes_referenced=b"\x6f\x06"),), "SIZE", Status.INVALID_PARAMETER),
        ((fcp(file_descriptor=b"\x07\x21"),), "FCP-FIELDS", Status.INVALID_PARAMETER),
        ((fcp(file_descriptor=b"\x42\x21\x00\x05"),), "FILE-OVERRUN", Status.BAD_VALUES),
        ((fcp(link_path=b"\x7f\x10\x6f\x3a"),), "FCP-FID", Status.BAD_VALUES),
        ((fcp(file_id=b"\x6f\x07"),), "FCP-FID", Status.BAD_VALUES),
        ((fcp(ef_file_size=b"\x7f" * 4),), "MEMORY", Status.NOT_ENOUGH_MEMORY),
        ((fcp(ef_file_size=b"\x7f" * 40),), "MEMORY", Status.NOT_ENOUGH_MEMORY),
    ],
)
def test_a_file_that_cannot_be_made_is_refused_by_its_rule(
    steps: tuple[FileItem, ...], rule: str, status: Status
) -> None:
    changed = with_steps(profile(), "iot", "ef-fplmn", *steps)
    with pytest.raises(PackageRefused) as caught:
        instantiate(changed)
    assert (caught.value.rule, caught.value.status, caught.value.finding.path) == (rule, status, "ef-fplmn")
    assert caught.value.statuses[-1].offset is not None


def test_a_required_content_that_is_missing_is_refused() -> None:
    package = profile("full")
    found = package.file_element("usim")
    assert found is not None
    with pytest.raises(PackageRefused, match="FILE-REQUIRED"):
        instantiate(package.replace(found[0].index, found[1].with_field("ef-spn", None)))


def test_files_switched_off_are_not_made() -> None:
    changed = with_steps(profile(), "iot", "ef-netpar", FileItem(do_not_create=True))
    paths = {fs.path(key) for fs in (instantiate(changed),) for key, _ in fs.walk()}
    assert "ADF.USIM/6FC4" not in paths
    assert "ADF.USIM/6F7B" in paths


def test_short_identifiers_are_the_template_s_unless_the_package_says_otherwise() -> None:
    base = instantiate(profile())
    assert base.file("ADF.USIM/EF.IMSI").sfi == 7
    given = with_steps(profile(), "iot", "ef-fplmn", fcp(short_ef_id=b"\x10"))
    none = with_steps(profile(), "iot", "ef-fplmn", fcp(short_ef_id=b""))
    assert [file(p, "ADF.USIM/EF.FPLMN").sfi for p in (given, none)] == [2, None]


def test_generic_file_management_moves_creates_fills_and_links() -> None:
    made = with_commands(
        profile(apn="iot.example"),
        create("7821", "7F66", 14),
        create("42210002", "4F40", 10, ef_file_size=b"\x04"),
        FileManagement(fill_file_offset=1),
        FileManagement(fill_file_content=b"\x01\x02"),
        FileManagement(file_path=b""),
        create("42210002", "2FFB", 10, link_path=b"\x7f\x66\x4f\x40"),
    )  # fmt: skip
    fs = instantiate(made)
    assert fs.file("MF/7F66/4F40").content.hex() == "ff0102ff"
    assert fs.file("MF/7F66/4F40").sfi is None
    link = fs.node(fs.key_of("MF/2FFB"))
    assert isinstance(link, Ef)
    assert (link.link, link.content, link.size) == ((0x3F00, 0x7F66, 0x4F40), b"", 4)
    assert fs.file("MF/2FFB").record(2).hex() == "02ff"
    assert fs.access_rule(fs.key_of("MF/2FFB")).hex().startswith("8001019000")


def test_a_failed_element_that_is_not_mandated_leaves_no_trace() -> None:
    steps = (
        create("7821", "7F66", 14),
        FileManagement(file_path=b"\x7f\x67"),
    )  # fmt: skip
    with pytest.raises(PackageRefused) as caught:
        instantiate(with_commands(profile(), *steps))
    assert caught.value.status is Status.BAD_VALUES
    installed = install(with_commands(profile(), *steps, mandated=False))
    assert installed.file_system == instantiate(profile())
    assert [(s.status, s.identification) for s in installed.statuses] == [
        (Status.BAD_VALUES, 200),
        (Status.OK, None),
    ]


def test_ber_tlv_files_hold_whole_objects() -> None:
    descriptor = fcp(file_descriptor=b"\x79\x21", ef_file_size=b"\x40")
    package = profile(smsp="+491710760000")
    found = package.file_element("opt-iot")
    assert found is not None
    made = found[1].with_field("df-df-5gs", ()).with_field("ef-ursp", (descriptor, fill("80021122")))
    ef = file(package.replace(found[0].index, made), "ADF.USIM/5FC0/4F0B")
    assert (ef.structure, ef.size, ef.content.hex()) == (Structure.BER_TLV, 64, "80021122")


def test_memory_is_charged_as_elements_load_and_the_exceeding_one_fails() -> None:
    package = profile("full", **DOMAIN)
    whole = instantiate(package).charge
    assert instantiate(package, Platform(free_memory=whole)).charge == whole
    with pytest.raises(PackageRefused) as caught:
        instantiate(package, Platform(free_memory=whole - 1))
    assert caught.value.status is Status.NOT_ENOUGH_MEMORY
    assert package.elements[caught.value.index or 0].name == "rfm"
    with pytest.raises(PackageRefused) as earlier:
        instantiate(package, Platform(free_memory=600))
    assert package.elements[earlier.value.index or 0].name == "mf"


def test_pins_pukes_and_their_contexts() -> None:
    fs = instantiate(profile("full", pin="1234", puk="87654321"))
    usim = fs.key_of("ADF.USIM")
    one, local = fs.pin_context(usim, 0x01), fs.pin_context(usim, 0x81)
    assert one is not None
    assert local is not None
    assert (one[0], one[1].value, one[1].is_enabled, one[1].tries_left) == (
        (0x3F00,),
        b"1234\xff\xff\xff\xff",
        True,
        3,
    )
    assert (local[0], local[1].puk) == (usim, 0x81)
    adm = fs.pin_context(usim, 0x0A)
    assert adm is not None
    assert (adm[1].tries_max, adm[1].tries_left) == (10, 0)
    puk = fs.puk(1)
    assert puk is not None
    assert (puk.value, puk.tries_left) == (b"87654321", 10)


def test_an_iot_profile_has_a_disabled_pin1_and_an_adm1_that_nobody_knows() -> None:
    fs = instantiate(profile())
    pin, adm = fs.pin_context((0x3F00,), 1), fs.pin_context((0x3F00,), 0x0A)
    assert pin is not None
    assert adm is not None
    assert (pin[1].is_enabled, pin[1].value) == (False, b"0000\xff\xff\xff\xff")
    assert adm[1].value is None
    assert fs.file("ADF.USIM/6F06").source is Source.ASSUMED


def test_security_domain_and_remote_file_management_are_listed() -> None:
    fs = instantiate(profile(**DOMAIN))
    (domain,) = fs.security_domains
    assert [(k.version, k.identifier, k.type, k.value.hex().upper()) for k in domain.keys] == [
        (1, 1, 0x88, DOMAIN["kic"]),
        (1, 2, 0x88, DOMAIN["kid"]),
        (1, 3, 0x88, DOMAIN["dek"]),
    ]
    assert (domain.application.minimum_security, domain.application.tars[0].hex()) == (0x16, "b20100")
    (remote,) = fs.remote
    assert (remote.domain, remote.minimum_security, remote.adf) == (domain.aid, 0x16, fs.adfs[0].aid)


def test_secrets_are_never_printed() -> None:
    package = profile("full", pin="1234", puk="87654321", **DOMAIN)
    shown = repr(instantiate(package)) + repr([e.value for e in package]) + repr(recipe_of(VALUES | DOMAIN))
    for secret in (
        b"1234\xff",
        b"87654321",
        *(bytes.fromhex(v) for v in (VALUES["ki"], VALUES["opc"], DOMAIN["kic"])),
    ):
        assert repr(secret)[2:-1] not in shown
    assert "***" in shown


def test_files_as_in_their_template_are_one_object_for_all_profiles() -> None:
    first, second = (instantiate(profile(imsi=imsi)) for imsi in ("001010000000012", "001010000000013"))
    assert first.file("ADF.USIM/EF.FPLMN") is second.file("ADF.USIM/EF.FPLMN")
    assert first.file("ADF.USIM/EF.IMSI") is not second.file("ADF.USIM/EF.IMSI")


def test_a_template_of_another_element_is_refused() -> None:
    package = profile("full")
    found = package.file_element("usim")
    assert found is not None
    wrong = FileSystemElement(found[1].tag, found[1].header, "2.23.143.1.2.8", found[1].fields)
    with pytest.raises(PackageRefused, match="TPL-PE"):
        instantiate(package.replace(found[0].index, wrong))


@pytest.mark.parametrize("octets", [pytest.param(package_octets(name), id=name) for name in MINIMAL_NAMES])
def test_memory_counted_while_loading_is_what_the_profile_costs(octets: bytes) -> None:
    package = Package.decode(octets)
    whole = instantiate(package).charge
    assert instantiate(package, Platform(free_memory=whole)).charge == whole
    with pytest.raises(PackageRefused, match="MEMORY"):
        instantiate(package, Platform(free_memory=whole - 1))


@needs_shared
@pytest.mark.parametrize("path", public_packages(), ids=lambda path: path.stem)
def test_memory_counted_while_loading_is_what_a_public_profile_costs(path: Path) -> None:
    package = Package.decode(path.read_bytes())
    whole = instantiate(package).charge
    assert instantiate(package, Platform(free_memory=whole)).charge == whole
    with pytest.raises(PackageRefused, match="MEMORY"):
        instantiate(package, Platform(free_memory=whole - 1))
