"""Profile packages under hostile and random input: named refusals, byte identity, consistent verdicts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.vectors.profile_data import MINIMAL_NAMES, package_octets

from keim.der import read_tlv, tlv, walk
from keim.saip import (
    ANY_CARD,
    BrokenPackage,
    FileSystem,
    Package,
    PackageRefused,
    Severity,
    compare,
    instantiate,
    lint,
    new,
    recipe_of,
)
from keim.saip.codings import (
    access_class,
    imsi_octets,
    imsi_of,
    luhn_digit,
    name_octets,
    name_of,
    plmn_octets,
    plmn_of,
)
from keim.saip.edit import with_file, with_iccid, with_imsi
from keim.saip.show import package_document

PACKAGES = [package_octets(name) for name in MINIMAL_NAMES]
DIGITS = st.text("0123456789", min_size=18, max_size=18)
IMSI = st.text("0123456789", min_size=6, max_size=15)


def judge(octets: bytes) -> None:
    """Whatever the octets are: no exception but the named ones, and lint agrees with the installer."""
    package, broken = read(octets)
    findings = lint(octets)
    if package is None:
        assert broken is not None
        assert 0 <= broken.offset <= len(octets)
        assert [f.rule for f in findings] == [broken.rule]
        return
    assert package.encode() == octets
    fs, refused = made(package)
    package_document(package, fs)
    if refused is not None:
        errors = {f.rule for f in findings if f.severity is Severity.ERROR}
        # an element that is not mandated and left out may take away what another one needs
        assert refused.rule in errors or (errors and not all(e.is_mandated for e in package))
        assert refused.statuses[-1].status == refused.status
    if fs is not None:
        assert compare(fs, package).is_equal
        assert len(list(fs.walk())) == len({key for key, _ in fs.walk()})


def read(octets: bytes) -> tuple[Package | None, BrokenPackage | None]:
    try:
        return Package.decode(octets), None
    except BrokenPackage as broken:
        return None, broken


def made(package: Package) -> tuple[FileSystem | None, PackageRefused | None]:
    try:
        return instantiate(package, ANY_CARD), None
    except PackageRefused as refused:
        return None, refused


@given(st.binary(max_size=300))
def test_random_octets_are_refused_by_name(octets: bytes) -> None:
    judge(octets)


@given(st.sampled_from(PACKAGES), st.data())
def test_packages_with_flipped_octets_are_judged_by_name(octets: bytes, data: st.DataObject) -> None:
    changed = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    judge(bytes(changed))


def rewritten(octets: bytes, path: list[int], content: bytes | None) -> bytes:
    """The octets with the TLV at `path` (positions, outermost first) given another content, or left out."""
    parts = list(walk(octets))
    index = path[0] % len(parts)
    out = []
    for number, part in enumerate(parts):
        whole = octets[part.start : part.end]
        if number == index:
            inner = octets[part.content : part.end]
            if len(path) > 1 and part.is_constructed and inner:
                whole = tlv(part.tag, rewritten(inner, path[1:], content))
            else:
                whole = b"" if content is None else tlv(part.tag, content)
        out.append(whole)
    return b"".join(out)


@given(
    st.sampled_from(PACKAGES),
    st.lists(st.integers(0, 40), min_size=2, max_size=5),
    st.none() | st.binary(max_size=12),
)
def test_packages_with_another_value_somewhere_are_judged_by_name(
    octets: bytes, path: list[int], content: bytes | None
) -> None:
    """Well-formed, so that the rules behind the codec are reached."""
    judge(rewritten(octets, path, content))


@given(st.sampled_from(PACKAGES), st.permutations(range(9)))
def test_elements_in_any_order_are_judged_by_name(octets: bytes, order: list[int]) -> None:
    elements = Package.decode(octets).elements
    judge(b"".join(elements[i].raw for i in order if i < len(elements)))


@given(DIGITS, IMSI, st.sampled_from(["iot-minimal", "full"]), st.text(max_size=30).filter(str.strip))
def test_any_identity_makes_a_package_that_installs_with_it(
    iccid: str, imsi: str, shape: str, name: str
) -> None:
    recipe = recipe_of(
        {
            "iccid": iccid,
            "imsi": imsi,
            "algorithm": "milenage",
            "ki": "A7" * 15 + "01",
            "opc": "B8" * 16,
            "name": name,
        }
    )
    octets = new(recipe, shape).encode()
    fs = instantiate(Package.decode(octets))
    assert fs.iccid == iccid + luhn_digit(iccid)
    assert fs.file("MF/EF.ICCID").content == fs.iccid.octets
    assert imsi_of(fs.file("ADF.USIM/EF.IMSI").content) == imsi
    assert fs.file("ADF.USIM/EF.ACC").content == access_class(imsi)
    assert not [f for f in lint(octets) if f.severity is Severity.ERROR]


@given(st.sampled_from([p for p in PACKAGES if len(p) > 100]), DIGITS, IMSI)
def test_edits_change_what_they_name_and_nothing_else(octets: bytes, iccid: str, imsi: str) -> None:
    package = Package.decode(octets)
    edited = with_imsi(with_iccid(package, iccid), imsi)
    fs, before = instantiate(edited), instantiate(package)
    assert fs.file("MF/EF.ICCID").content == edited.iccid.octets if edited.iccid else False
    assert imsi_of(fs.file("ADF.USIM/EF.IMSI").content) == imsi
    touched = {"ef-iccid", "ef-imsi", "ef-acc"}
    for key, node in before.walk():
        if node.name not in touched and not hasattr(node, "children"):
            assert fs.node(key) == node
    for old, changed in zip(package, edited, strict=True):
        if old.name not in ("header", "mf", "iot", "usim"):
            assert changed.raw == old.raw
    back = with_imsi(
        with_iccid(edited, package.iccid or ""), imsi_of(before.file("ADF.USIM/EF.IMSI").content) or ""
    )
    assert instantiate(back) == before


@given(st.sampled_from([p for p in PACKAGES if len(p) > 100]), st.binary(min_size=1, max_size=40))
def test_a_file_that_is_written_holds_what_was_written(octets: bytes, content: bytes) -> None:
    edited = with_file(Package.decode(octets), "ADF.USIM/EF.FPLMN", content)
    assert instantiate(Package.decode(edited.encode())).file("ADF.USIM/EF.FPLMN").content == content


@given(IMSI)
def test_imsi_coding_is_reversible(imsi: str) -> None:
    assert imsi_of(imsi_octets(imsi)) == imsi


@given(st.from_regex(r"[0-9]{5,6}", fullmatch=True))
def test_plmn_coding_is_reversible(digits: str) -> None:
    assert plmn_of(plmn_octets(digits)) == f"{digits[:3]}-{digits[3:]}"


@given(st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFE), max_size=16))
def test_name_coding_is_reversible(name: str) -> None:
    assert name_of(name_octets(name)) == name


@given(st.sampled_from(PACKAGES))
def test_every_finding_points_into_the_package(octets: bytes) -> None:
    for found in lint(octets):
        if found.offset is not None and found.index is not None:
            element = Package.decode(octets).elements[found.index]
            assert element.offset <= found.offset < element.offset + len(element.raw)
            assert read_tlv(octets, found.offset).end <= element.offset + len(element.raw)
