"""What only a linter looks at: versions, contents of files, access rules, keys, budgets.

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from keim.der import read_tlv
from keim.errors import Malformed
from keim.saip.access import parse_rule, reference_name
from keim.saip.codings import access_classes, imsi_of, plmn_of, services_of
from keim.saip.elements import AkaParameter, Algorithm, Fcp, GenericFileManagement, Rfm, SecurityDomain
from keim.saip.file_element import FileSystemElement
from keim.saip.filesystem import Directory, Ef, FileSystem, Key, Source
from keim.saip.package import Element, Package
from keim.saip.refusals import Finding
from keim.saip.rules.finding import finding
from keim.saip.templates import Structure

_KNOWN_VERSIONS = ((2, range(4)), (3, range(5)))
_SINCE = {"iot": (3, 3), "opt-iot": (3, 3), "df-snpn": (3, 3), "df-5gprose": (3, 3)} | {
    "df-5gs": (2, 3),
    "df-saip": (2, 3),
    "eap": (2, 2),
}
_ALGORITHM_SERVICE = {Algorithm.MILENAGE: ("milenage",), Algorithm.USIM_TEST: ("usim_test_algorithm",)}


def version_findings(package: Package) -> Iterator[Finding]:
    header, first = package.header, package.elements[0]
    if header is None:
        return
    version = package.version
    for major, minors in _KNOWN_VERSIONS:
        if version[0] == major and version[1] not in minors:
            yield finding("VER-MINOR", first, f"minor version {version[1]}")
    if header.iot_options is not None and version < (3, 3):
        yield finding("VER-FEATURE", first, f"iotOptions in a package of version {version[0]}.{version[1]}")
    for element in package.elements:
        since = _SINCE.get(element.name)
        if since is not None and version < since:
            stated = f"the package states {version[0]}.{version[1]}"
            message = f"{element.name} exists since {since[0]}.{since[1]}, {stated}"
            yield finding("VER-FEATURE", element, message)
    for element, value in package.values(FileSystemElement):
        known = value.template
        if known is not None and (
            version < known.since or (known.until is not None and version[0] > known.until[0])
        ):
            yield finding(
                "TPL-VERSION",
                element,
                f"template {value.template_id} is not one of {version[0]}.{version[1]}",
            )


def switch_findings(package: Package) -> Iterator[Finding]:
    """doNotCreate where it has no effect."""
    for element, value in package.values(FileSystemElement):
        known = value.template
        for field in value.fields:
            row = value.row(field)
            if not field.is_switched_off or known is None or row is None:
                continue
            if not known.is_by_default:
                yield finding("DNC", element, "the template makes no file by default", path=row.field)
            elif element.name == "mf" or (element.name == "iot" and row.field in ("ef-imsi", "ef-acc")):
                yield finding("DNC", element, "the file cannot be left out", path=row.field)


def service_findings(package: Package) -> Iterator[Finding]:
    header = package.header
    if header is None:
        return
    services = header.mandatory_services.names
    for element, value in package.values(AkaParameter):
        given = value.algo_configuration.algo_parameter
        if given is None:
            continue
        wanted = _ALGORITHM_SERVICE.get(given.algorithm_id)
        if given.algorithm_id == Algorithm.TUAK:
            wanted = ("tuak256",) if len(given.key) == 32 else ("tuak128",)
        if wanted and not any(name in services for name in wanted):
            yield finding("AKA-SERVICE", element, f"service {wanted[0]} is not in the header")
    if "ber_tlv" in services:
        return
    for element in package.elements:
        if any(fcp.file_descriptor and fcp.file_descriptor[0] & 0x3F == 0x39 for fcp in _fcps(element)):
            yield finding("BERTLV", element, "a BER-TLV file, and the header does not demand ber-tlv")
            return


def _fcps(element: Element) -> Iterator[Fcp]:
    value = element.value
    if isinstance(value, FileSystemElement):
        for field in value.fields:
            if field.fcp is not None:
                yield field.fcp
    elif isinstance(value, GenericFileManagement):
        for run in value.commands:
            for step in run:
                if step.create_fcp is not None:
                    yield step.create_fcp


def file_findings(package: Package, fs: FileSystem) -> Iterator[Finding]:
    yield from _identities(package, fs)
    yield from _rules(package, fs)
    yield from _directories(package, fs)
    for adf in fs.adfs:
        yield from _service_table(package, fs, adf)
    if fs.is_iot_minimal:
        yield from _energy(package, fs)


def _at(package: Package, name: str, field: str) -> tuple[Element | None, int | None]:
    """The element that makes a file and the file's offset in the package."""
    for element, value in package.values(FileSystemElement):
        found = value.get(field) if element.name == name else None
        if found is not None:
            return element, element.offset + element.raw.index(found.raw)
    return next(iter(package.named(name)), None), None


def _ef(fs: FileSystem, root: Directory, fid: int) -> Ef | None:
    node = fs.node(fs.target((root.fid, fid)))
    return node if isinstance(node, Ef) else None


def _identities(package: Package, fs: FileSystem) -> Iterator[Finding]:
    iccid = _ef(fs, fs.mf, 0x2FE2)
    home = "iot" if fs.is_iot_minimal else "mf"
    if iccid is not None and iccid.content != fs.iccid.octets:
        element, offset = _at(package, home, "ef-iccid")
        wanted = fs.iccid.octets.hex().upper()
        message = f"EF.ICCID is {iccid.content.hex().upper()}, the header's ICCID makes {wanted}"
        yield finding("ICCID-MATCH", element, message, offset=offset, path="MF/2FE2")
    if len(fs.iccid) in (19, 20) and not fs.iccid.has_valid_check_digit:
        yield finding("ICCID-LUHN", package.elements[0], f"{fs.iccid} has a wrong check digit")
    for adf in fs.adfs:
        if adf.name != "adf-usim":
            continue
        name = "iot" if fs.is_iot_minimal else "usim"
        element, offset = _at(package, name, "ef-imsi")
        imsi_file, acc, ad = (_ef(fs, adf, fid) for fid in (0x6F07, 0x6F78, 0x6FAD))
        imsi = imsi_of(imsi_file.content) if imsi_file is not None else None
        if imsi_file is not None and imsi is None:
            shown = imsi_file.content.hex().upper()
            yield finding(
                "IMSI-FORM", element, f"{shown} is no IMSI", offset=offset, path=fs.path((adf.fid, 0x6F07))
            )
        if acc is not None and imsi is not None:
            classes = access_classes(acc.content)
            if int(imsi[-1]) not in classes and not any(number >= 11 for number in classes):
                message = f"EF.ACC has {classes or 'no class'}, the IMSI ends with {imsi[-1]}"
                yield finding("ACC-DIGIT", element, message, path=fs.path((adf.fid, 0x6F78)))
        if ad is not None and (len(ad.content) < 4 or ad.content[3] & 0x0F not in (2, 3)):
            yield finding(
                "AD-MNC", element, f"EF.AD is {ad.content.hex().upper()}", path=fs.path((adf.fid, 0x6FAD))
            )


def _rules(package: Package, fs: FileSystem) -> Iterator[Finding]:
    """Each access rule once, told at the first file that refers to it."""
    first_file = next((e for e in package.elements if isinstance(e.value, FileSystemElement)), None)
    told: set[tuple[Key, bytes]] = set()
    for key, node in fs.walk():
        if (key[:1], node.rule) in told:
            continue
        told.add((key[:1], node.rule))
        path = fs.path(key)
        if not node.rule:
            yield finding("ARR-REF", first_file, "no access rule", path=path)
            continue
        record = fs.access_rule(key)
        shown = f"record {node.rule[2]} of {node.rule[:2].hex().upper()}"
        if not record.rstrip(b"\xff"):
            yield finding("ARR-REF", first_file, f"{shown} does not exist", path=path)
            continue
        try:
            entries = parse_rule(record)
        except Malformed as fault:
            yield finding("ARR-REF", first_file, f"{shown}: {fault}", path=path)
            continue
        for reference in sorted({r for entry in entries for r in entry.condition.references}):
            if fs.pin_context(key, reference) is None:
                message = f"{shown} wants {reference_name(reference)}, which is defined nowhere"
                if fs.is_iot_minimal and reference & 0x80:
                    continue
                yield finding("ARR-REF", first_file, message, path=path)


def _directories(package: Package, fs: FileSystem) -> Iterator[Finding]:
    directory = _ef(fs, fs.mf, 0x2F00)
    element, offset = _at(package, "iot" if fs.is_iot_minimal else "mf", "ef-dir")
    listed: list[bytes] = []
    for number in range(1, (directory.records if directory is not None else 0) + 1):
        assert directory is not None
        aid = _aid_of(directory.record(number))
        if aid is not None:
            listed.append(aid)
    for adf in fs.adfs:
        if adf.aid is not None and adf.aid not in listed:
            yield finding(
                "DIR-AID", element, f"{fs.path((adf.fid,))} has no record", offset=offset, path="MF/2F00"
            )
    for aid in listed:
        if all(adf.aid != aid for adf in fs.adfs):
            yield finding(
                "DIR-AID", element, f"{aid.hex().upper()} is no application", offset=offset, path="MF/2F00"
            )


def _aid_of(record: bytes) -> bytes | None:
    try:
        outer = read_tlv(record)
        inner = read_tlv(record, outer.content, outer.end)
    except Malformed:
        return None
    return record[inner.content : inner.end] if (outer.tag, inner.tag) == (0x61, 0x4F) else None


_TABLE_OF = {"adf-usim": 0x6F38, "adf-isim": 0x6F07}
_ALSO_WITHOUT = frozenset({"ef-arr", "ef-arr-usim"})


def _service_table(package: Package, fs: FileSystem, adf: Directory) -> Iterator[Finding]:
    """Files of optional services against the bits; one finding lists what is missing, one what is
    too much.
    """
    table = _ef(fs, adf, _TABLE_OF.get(adf.name, 0))
    if table is None or table.source is Source.ASSUMED:
        return
    on = services_of(table.content)
    elements = (
        ("iot", "opt-iot")
        if fs.is_iot_minimal
        else ("usim", "opt-usim", "gsm-access", "df-5gs", "df-saip", "df-snpn")
    )
    if adf.name == "adf-isim":
        elements = ("isim", "opt-isim")
    idle: list[str] = []
    for element, value in package.values(FileSystemElement):
        if element.name not in elements or value.template is None:
            continue
        for row in value.template.files:
            numbers = {int(s) for s in row.services if s.isdigit()}
            if not numbers or row.structure is Structure.DF or not row.path:
                continue
            exists = isinstance(fs.node((adf.fid, *row.path)), Ef)
            is_on = numbers <= on if row.all_services else bool(numbers & on)
            if exists and not is_on and any(field.tag == row.tag for field in value.fields):
                idle.append(f"{row.field} ({', '.join(map(str, sorted(numbers)))})")
    missing = _missing_files(fs, adf, on)
    place, offset = _at(package, elements[0], "ef-ust" if adf.name == "adf-usim" else "ef-ist")
    path = fs.path((adf.fid, table.fid))
    for what, names in (("files without their service", idle), ("services without their file", missing)):
        if names:
            message = f"{what}: {', '.join(names[:6])}" + (" ..." if len(names) > 6 else "")
            yield finding("UST-FILES", place, message, offset=offset, path=path)


# the file that a service cannot do without (3GPP TS 31.102 §4.2.8); services not named here need none or
# several
_NEEDED = {
    2: 0x6F3B, 10: 0x6F3C, 12: 0x6F42, 17: 0x6F3E, 18: 0x6F3F, 19: 0x6F46, 20: 0x6F60, 21: 0x6F40,
    42: 0x6F61, 43: 0x6F62, 45: 0x6FC5, 46: 0x6FC6, 51: 0x6FCD, 71: 0x6FD9, 85: 0x6FE3, 96: 0x6FE8,
}  # fmt: skip


def _missing_files(fs: FileSystem, adf: Directory, on: frozenset[int]) -> list[str]:
    if adf.name != "adf-usim":
        return []
    return [
        f"{number} ({fid:04X})" for number, fid in _NEEDED.items() if number in on and adf.child(fid) is None
    ]


def _energy(package: Package, fs: FileSystem) -> Iterator[Finding]:
    for adf in fs.adfs:
        period = _ef(fs, adf, 0x6F31)
        if period is not None and 0 < period.content[0] < 0x0A:
            element, offset = _at(package, "iot", "ef-hpplmn")
            hours = period.content[0] * 6
            yield finding(
                "IOT-ENERGY", element, f"a search for the home network every {hours} minutes", offset=offset
            )
        operators = _ef(fs, adf, 0x6F61)
        if operators is not None:
            entries = [operators.content[i : i + 3] for i in range(0, len(operators.content), 5)]
            if sum(plmn_of(entry) is not None for entry in entries) > 8:
                element, offset = _at(package, "opt-iot", "ef-oplmnwact")
                yield finding(
                    "IOT-ENERGY", element, "more than 8 preferred networks to search", offset=offset
                )


def key_findings(package: Package) -> Iterator[Finding]:
    header = package.header
    is_test = header is not None and "test" in (header.profile_type or "").lower()
    for element, value in package.values(AkaParameter):
        given = value.algo_configuration.algo_parameter
        if given is not None and _is_trivial(given.key) and not is_test:
            yield finding("SEC-DEFAULTKEY", element, "the authentication key is a trivial or published value")
    for element, domain in package.values(SecurityDomain):
        weak = [k for k in domain.key_list or () if any(_is_trivial(c.key_data) for c in k.key_components)]
        if weak and not is_test:
            yield finding("SEC-DEFAULTKEY", element, f"{len(weak)} key(s) are trivial or published values")
    for element, remote in package.values(Rfm):
        level = remote.minimum_security_level[:1]
        if level and (level[0] & 0x03 != 0x02 or level[0] & 0x18 not in (0x10, 0x18)):
            yield finding("SEC-WEAKMSL", element, f"minimum security level {level.hex().upper()}")


_PUBLISHED = frozenset(
    bytes.fromhex(text)
    for text in (
        "465B5CE8B199B49FAA5F0A2EE238A6BC",  # 3GPP TS 35.208 set 1
        "8BAF473F2F8FD09487CCCBD7097C6862",  # quick starts of open cores
        "66778899AABBCCDD1122334455EEFF10",  # GSMA TS.48
        "112233445566778899AABBCCDDEEFF10",
        "99AABBCCDDEEFF101122334455667788",
    )
)


def _is_trivial(key: bytes) -> bool:
    """All octets equal, or each the one before plus a constant step."""
    steps = {(b - a) & 0xFF for a, b in pairwise(key)}
    return len(steps) <= 1 or key in _PUBLISHED


def budget_findings(package: Package, budget: int) -> Iterator[Finding]:
    if package.is_iot_minimal and package.size > budget:
        yield finding("SIZE-BUDGET", package.elements[0], f"{package.size} octets, the budget is {budget}")
    if not any(True for _ in package.values(SecurityDomain)):
        yield finding(
            "SD-NONE", package.elements[0], "the profile has no security domain: no change over the air"
        )
