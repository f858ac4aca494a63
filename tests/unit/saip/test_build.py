"""Building from a recipe, and editing: sizes, contents, refused keys, batches, metadata, comparison."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from tests.unit.saip.making import DOMAIN, VALUES, profile
from tests.vectors.profile_data import package_octets

from keim.crypto.milenage import opc as opc_of
from keim.messages.profile import IconType, PprIds, ProfileClass, StoreMetadataRequest
from keim.saip import (
    BadRecipe,
    FileSystem,
    NoSuchFile,
    Package,
    Severity,
    Verdict,
    compare,
    difference,
    edit,
    instantiate,
    lint,
    metadata,
    new,
    recipe_from_toml,
    recipe_of,
    scan_card,
    scan_of,
)
from keim.saip.batch import Made, check_columns, from_package, from_recipe
from keim.saip.elements import Algorithm, SecurityDomain
from keim.saip.scan import scan_document, scan_from_document

EVERYTHING = DOMAIN | {
    "smsp": "+491710760000",
    "msisdn": "+4917112345678",
    "pin": "1234",
    "puk": "12345678",
    "apn": "iot.example,internet",
    "mcc_mnc_length": 6,
}
TUAK = {"algorithm": "tuak", "ki": "8F1E2D3C4B5A6978" * 4, "opc": "", "topc": "0F1E2D3C4B5A6978" * 4}


def test_the_smallest_profile_has_148_octets_like_the_worked_example() -> None:
    values = {"iccid": "8900101000000000027", "imsi": "001010000000002", "algorithm": "milenage", "name": "x"}
    values |= {"ki": "465B5CE8B199B49FAA5F0A2EE238A6BC", "opc": "CD63CB71954A9F4E48A5994E37A02BAF"}
    made = new(recipe_of(values), is_smallest=True).encode()
    assert made == package_octets("iot-2-auth")
    assert len(made) == 148


@pytest.mark.parametrize(
    ("shape", "values", "most"),
    [
        ("iot-minimal", {}, 250),
        ("iot-minimal", DOMAIN, 600),
        ("iot-minimal", DOMAIN | {"smsp": "+491710760000"}, 600),
        ("iot-minimal", EVERYTHING, 750),
        ("iot-minimal", TUAK, 290),
        ("full", {}, 1500),
        ("full", EVERYTHING, 2000),
        ("full", TUAK | DOMAIN, 2000),
    ],
)
def test_shapes_hit_their_sizes_install_and_are_clean(shape: str, values: dict[str, Any], most: int) -> None:
    octets = profile(shape, **values).encode()
    assert len(octets) <= most
    package = Package.decode(octets)
    assert package.encode() == octets
    fs = instantiate(package)
    assert compare(scan_of(fs), package).is_equal
    assert [str(f) for f in lint(octets) if f.severity is Severity.ERROR] == []
    assert not {f.rule for f in lint(octets)} - {"SD-NONE", "SIZE-BUDGET"}


@pytest.mark.parametrize("shape", ["iot-minimal", "full"])
def test_all_values_of_the_recipe_arrive(shape: str) -> None:
    fs = instantiate(profile(shape, **EVERYTHING))
    assert fs.iccid == "8900101000000000126"
    assert fs.file("ADF.USIM/EF.AD").content == b"\x00\x00\x00\x03"
    smsp = fs.file("ADF.USIM/EF.SMSP").record(1)
    assert smsp[-15:-3].hex().upper().startswith("0791947101670000")
    acl = fs.file("ADF.USIM/6F57").content
    assert acl == b"\x02\xdd\x0c\x03iot\x07example\xdd\x09\x08internet"
    assert bytes.fromhex("91947111325476F8") in fs.file("ADF.USIM/6F40").content
    (credentials,) = fs.authentications
    assert (credentials.key.hex().upper(), credentials.opc.hex().upper()) == (VALUES["ki"], VALUES["opc"])
    assert credentials.algorithm is Algorithm.MILENAGE
    pin = fs.pin_context((fs.adfs[0].fid,), 0x81)
    assert pin is not None
    assert pin[1].value == b"1234\xff\xff\xff\xff"


def test_op_becomes_opc_and_is_not_stored() -> None:
    op = "63BFA50EE6523365FF14C1F45F88737D"
    octets = profile(opc="", op=op).encode()
    assert bytes.fromhex(op) not in octets
    assert opc_of(bytes.fromhex(VALUES["ki"]), bytes.fromhex(op)) in octets


def test_a_recipe_is_ten_lines_of_toml() -> None:
    text = (
        "\n".join(f'{key} = "{value}"' for key, value in VALUES.items())
        + '\napn = ["a.b"]\nmcc_mnc_length = 5\n'
    )
    assert recipe_from_toml(text) == recipe_of(VALUES | {"apn": "a.b"})


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"iccid": "89"}, "iccid"),
        ({"iccid": None}, "iccid"),
        ({"imsi": "00101x"}, "imsi"),
        ({"imsi": 1010000}, "imsi"),
        ({"algorithm": "comp128"}, "algorithm"),
        ({"ki": "00"}, "ki"),
        ({"ki": "zz" * 16}, "ki"),
        ({"ki": "00" * 32}, "ki"),
        ({"opc": ""}, "opc"),
        ({"op": "00" * 16}, "opc"),
        ({"opc": "", "topc": "00" * 32}, "topc"),
        (TUAK | {"topc": "00" * 16}, "topc"),
        ({"pin": "12"}, "pin"),
        ({"puk": "1234"}, "puk"),
        ({"smsp": "abc"}, "smsp"),
        ({"apn": "a..b"}, "apn"),
        ({"mcc_mnc_length": 4}, "mcc_mnc_length"),
        ({"imsi": "001010", "mcc_mnc_length": 6}, "mcc_mnc_length"),
        ({"kic": "00" * 16}, "kid"),
        ({"adm": "00"}, "adm"),
        ({"colour": "red"}, "colour"),
        ({"name": ""}, "name"),
    ],
)
def test_a_bad_value_is_refused_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        recipe_of(VALUES | values)
    assert caught.value.key == key


@pytest.mark.parametrize("key", ["smsp", "pin", "apn", "msisdn"])
def test_the_smallest_profile_takes_nothing_but_credentials(key: str) -> None:
    with pytest.raises(BadRecipe, match=key):
        new(recipe_of(VALUES | {key: EVERYTHING[key]}), is_smallest=True)


def test_the_full_shape_has_no_smallest_form_and_other_shapes_do_not_exist() -> None:
    for shape, smallest in (("full", True), ("round", False)):
        with pytest.raises(BadRecipe, match="shape"):
            new(recipe_of(VALUES), shape, is_smallest=smallest)


# --- editing ---


def test_an_edit_re_encodes_only_its_own_element() -> None:
    package = profile("full", **EVERYTHING)
    edits: dict[str, Package] = {
        "mf,header": edit.with_iccid(package, "8949000000000000014"),
        "usim": edit.with_imsi(package, "262019876543210"),
        "akaParameter": edit.with_keys(package, bytes(16), bytes(range(16))),
        "pinCodes": edit.with_pin(package, 1, b"4321\xff\xff\xff\xff"),
        "pukCodes": edit.with_puk(package, 0x81, b"11112222"),
        "securityDomain": edit.with_domain_key(package, 1, 2, bytes(16)),
        "usim,": edit.with_smsp(package, "+4917"),
        "usim,,": edit.with_name(package, "Other"),
        "opt-usim": edit.with_apns(package, ("x.y",)),
    }
    for names, edited in edits.items():
        touched = {a.name for a, b in zip(package, edited, strict=True) if a.raw != b.raw}
        assert touched == set(filter(None, names.split(",")))
        assert instantiate(edited) != instantiate(package)
        assert Package.decode(edited.encode()) == edited


def test_what_a_package_does_not_define_cannot_be_edited() -> None:
    package = profile()
    for call in (
        lambda: edit.with_pin(package, 5, bytes(8)),
        lambda: edit.with_puk(package, 5, bytes(8)),
        lambda: edit.with_domain_key(package, 1, 1, bytes(16)),
        lambda: edit.with_keys(package.remove(package.named("akaParameter")[0].index), bytes(16), bytes(16)),
        lambda: edit.with_imsi(package.remove(1), "001010000000012"),
    ):
        with pytest.raises(BadRecipe):
            call()
    with pytest.raises(NoSuchFile):
        edit.with_file(package, "ADF.USIM/6F99", b"")
    with pytest.raises(NoSuchFile):
        edit.with_file(package, "MF/EF.ICCID", bytes(10)) and edit.with_file(
            package, "XX/EF.ICCID", bytes(10)
        )


def test_a_file_of_generic_file_management_is_edited_in_place() -> None:
    package = profile(**EVERYTHING)
    edited = edit.with_file(package, "ADF.USIM/6F57", b"\x00")
    assert instantiate(edited).file("ADF.USIM/6F57").content == b"\x00"
    assert {a.name for a, b in zip(package, edited, strict=True) if a.raw != b.raw} == {
        "genericFileManagement"
    }


def test_records_keep_their_length() -> None:
    with pytest.raises(BadRecipe, match="whole number of records"):
        edit.with_file(profile("full"), "ADF.USIM/EF.SMSP", bytes(39))


def test_elements_are_renumbered_on_request() -> None:
    package = profile("full", **DOMAIN)
    shuffled = package.remove(5)
    assert [e.identification for e in edit.renumbered(shuffled)][1:] == list(range(1, len(shuffled)))


# --- batches ---

ROWS = [
    {
        "iccid": f"8900101{number:011d}",
        "imsi": f"00101{number:010d}",
        "ki": f"{number:030d}A7",
        "opc": "B8" * 16,
    }
    for number in range(1, 6)
]


def test_a_table_and_a_recipe_make_one_package_for_each_row() -> None:
    template = {"algorithm": "milenage", "name": "Fleet"}
    made = list(from_recipe(template, ROWS, shape="iot-minimal"))
    assert [result.iccid[:18] for result in made if isinstance(result, Made)] == [
        row["iccid"] for row in ROWS
    ]
    for result, row in zip(made, ROWS, strict=True):
        assert isinstance(result, Made)
        assert result.package == new(recipe_of(template | row)).encode()


def test_a_table_and_a_package_make_one_package_for_each_row() -> None:
    made = list(from_package(profile("full"), ROWS))
    for result, row in zip(made, ROWS, strict=True):
        assert isinstance(result, Made)
        assert result.package == profile("full", **row).encode()


def test_a_bad_row_is_told_with_its_number_and_the_rest_goes_on() -> None:
    rows = [ROWS[0], ROWS[1] | {"ki": "xx"}, ROWS[0], ROWS[2]]
    made = list(from_recipe({"algorithm": "milenage", "name": "Fleet"}, rows, shape="full"))
    assert [type(result).__name__ for result in made] == ["Made", "BadRecipe", "BadRecipe", "Made"]
    assert [(r.row, r.key) for r in made if isinstance(r, BadRecipe)] == [(2, "ki"), (3, "iccid")]


def test_a_table_with_an_unknown_column_is_refused_as_a_whole() -> None:
    check_columns(["iccid", "imsi"])
    with pytest.raises(BadRecipe, match="colour"):
        check_columns(["iccid", "colour"])


# --- metadata ---


def test_metadata_come_from_the_package() -> None:
    made = metadata(profile("full", mcc_mnc_length=6), notification_addresses=("smdp.example",))
    assert made.iccid == profile().iccid.octets if profile().iccid else False
    assert (made.service_provider_name, made.profile_name) == ("Acme Meters", "Acme Meters")
    assert made.profile_owner is not None
    assert made.profile_owner.mcc_mnc == bytes.fromhex("000110")
    assert made.profile_class is ProfileClass.OPERATIONAL
    (notification,) = made.notification_configuration_info or ()
    assert (notification.notification_address, int(notification.profile_management_operation)) == (
        "smdp.example",
        15,
    )
    assert StoreMetadataRequest.decode(made.encode()) == made


def test_metadata_say_what_they_are_told() -> None:
    made = metadata(
        profile(),
        service_provider_name="P",
        profile_name="N",
        profile_class=ProfileClass.TEST,
        owner="26201",
        policy_rules=PprIds.PPR1,
        fallback_allowed=True,
        icon=b"\x89PNG....",
    )
    assert (made.service_provider_name, made.profile_name, made.profile_class) == (
        "P",
        "N",
        ProfileClass.TEST,
    )
    assert made.profile_owner is not None
    assert made.profile_owner.mcc_mnc == bytes.fromhex("62F210")
    assert (made.policy_rules if hasattr(made, "policy_rules") else made.profile_policy_rules) == PprIds.PPR1
    assert (made.fallback_allowed, made.icon_type) == (True, IconType.PNG)
    with pytest.raises(BadRecipe, match="icon"):
        metadata(profile(), icon=b"GIF89a")


# --- comparing ---


def verdicts(before: Package, after: Package) -> dict[str, Verdict]:
    result = compare(scan_of(instantiate(after)), before)
    return {item.item: item.verdict for item in result.items if item.verdict is not Verdict.EQUAL}


def test_a_comparison_tells_what_differs_is_missing_extra_volatile_or_unknown() -> None:
    package = profile(**DOMAIN)
    other = edit.with_imsi(profile(smsp="+4917", **DOMAIN), "001010000000099")
    other = edit.with_file(other, "ADF.USIM/EF.LOCI", bytes(11))
    found = verdicts(package, other)
    assert found["ADF.USIM/6F07"] is Verdict.DIFFERS
    assert found["ADF.USIM/6F42"] is Verdict.EXTRA
    assert found["ADF.USIM/6F7E"] is Verdict.VOLATILE
    assert found["MF/2F06"] is Verdict.NOT_COMPARABLE
    assert verdicts(other, package)["ADF.USIM/6F42"] is Verdict.MISSING
    assert verdicts(package, package) == dict.fromkeys(("MF/2F06", "ADF.USIM/6F06"), Verdict.NOT_COMPARABLE)


def test_security_domains_compare_by_aid_and_key_numbers() -> None:
    package = profile(**DOMAIN)
    assert verdicts(package, profile())["sd A000000151000000"] is Verdict.MISSING
    domain = package.named("securityDomain")[0]
    assert isinstance(domain.value, SecurityDomain)
    fewer = package.replace(domain.index, domain.value.replace(key_list=(domain.value.key_list or ())[:1]))
    assert verdicts(package, fewer)["sd A000000151000000"] is Verdict.DIFFERS


def test_a_difference_names_files_and_secrets_without_showing_them() -> None:
    package = profile("full", pin="1234")
    edited = edit.with_pin(edit.with_keys(package, bytes(16), bytes(16)), 1, b"99999999")
    items = {item.item: item for item in difference(package, edited).items}
    assert set(items) == {"authentication parameters", "PINs"}
    assert all(not item.expected and not item.actual for item in items.values())
    assert difference(package, package).items == ()


def test_a_scan_survives_its_json() -> None:
    scan = scan_of(instantiate(profile("full", **EVERYTHING)))
    assert scan_from_document(scan_document(scan)) == scan
    with pytest.raises(BadRecipe):
        scan_from_document({"files": 3})


class PaperCard:
    """Answers SELECT and READ from a file system; one file may not be read."""

    def __init__(self, fs: FileSystem, forbidden: int) -> None:
        self.fs = fs
        self.forbidden = forbidden
        self.key: tuple[int, ...] = (0x3F00,)

    def answer(self, apdu: bytes) -> bytes:
        if apdu[1] == 0xA4:
            return self.select(apdu[2], apdu[5 : 5 + apdu[4]])
        node = self.fs.node(self.fs.target(self.key))
        content = getattr(node, "content", b"")
        if self.key[-1] == self.forbidden:
            return b"\x69\x82"
        if apdu[1] == 0xB0:
            offset = int.from_bytes(apdu[2:4], "big")
            return content[offset : offset + apdu[4]] + b"\x90\x00"
        length = getattr(node, "record_length", 0)
        return content[(apdu[2] - 1) * length : apdu[2] * length] + b"\x90\x00"

    def select(self, p1: int, data: bytes) -> bytes:
        if p1 == 4:
            adf = self.fs.adf(data)
            key: tuple[int, ...] = (adf.fid,) if adf is not None else (0,)
        else:
            fid = int.from_bytes(data, "big")
            key = (0x3F00,) if fid == 0x3F00 else (*self.folder(), fid)
        node = self.fs.node(key)
        if node is None:
            return b"\x6a\x82"
        self.key = key
        target = self.fs.node(self.fs.target(key))
        if hasattr(target, "children"):
            body = b"\x82\x02\x78\x21"
        else:
            length = target.record_length.to_bytes(2, "big") if target.record_length else b""
            body = b"\x82" + bytes((len(target.descriptor),)) + target.descriptor
            body += b"\x80\x02" + target.size.to_bytes(2, "big")
            body += b"\x88" + (bytes((1, node.sfi << 3)) if node.sfi is not None else b"\x00")
            assert length == target.descriptor[2:]
        return b"\x62" + bytes((len(body),)) + body + b"\x90\x00"

    def folder(self) -> tuple[int, ...]:
        return self.key if hasattr(self.fs.node(self.key), "children") else self.key[:-1]


def driven(procedure: Generator[bytes, bytes, Any], card: PaperCard) -> Any:
    answer = next(procedure)
    while True:
        try:
            answer = procedure.send(card.answer(answer))
        except StopIteration as done:
            return done.value


def test_a_card_is_scanned_through_apdus_and_compares_equal() -> None:
    package = profile("full", **EVERYTHING)
    fs = instantiate(package)
    scan = driven(scan_card(fs), PaperCard(fs, forbidden=0x6F07))
    result = compare(scan, package)
    others = {i.item: i.verdict for i in result.items if i.verdict is not Verdict.EQUAL}
    assert others == {"ADF.USIM/6F07": Verdict.NOT_READABLE}
    assert result.is_equal


def test_a_scan_finds_what_an_edited_card_has_differently() -> None:
    package = profile("full")
    card = instantiate(edit.with_name(package, "Somebody else"))
    scan = driven(scan_card(instantiate(package)), PaperCard(card, forbidden=0))
    assert {i.item for i in compare(scan, package).items if i.verdict is Verdict.DIFFERS} == {"ADF.USIM/6F46"}


def test_pin_and_puk_of_a_row_go_where_the_package_defines_them() -> None:
    for shape, reference in (("iot-minimal", 0x81), ("full", 0x01)):
        package = profile(shape, pin="1111", puk="11111111")
        (made,) = from_package(package, [{"pin": "2222", "puk": "22222222"}])
        assert isinstance(made, Made)
        fs = instantiate(Package.decode(made.package))
        found = fs.pin_context((fs.adfs[0].fid,), reference)
        assert found is not None
        assert found[1].value == b"2222\xff\xff\xff\xff"
        puk = fs.puk(found[1].puk or 0)
        assert puk is not None
        assert puk.value == b"22222222"


def test_nothing_that_is_printed_shows_a_key() -> None:
    package = profile("full", **EVERYTHING)
    (made,) = from_package(package, [{}])
    for secret in (VALUES["ki"], VALUES["opc"], DOMAIN["kic"]):
        assert repr(bytes.fromhex(secret))[2:-1] not in repr(package) + repr(made)
