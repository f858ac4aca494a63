"""Editing: each function gives a new package in which only the elements concerned are re-encoded.

What belongs together is kept together: ICCID in header and EF.ICCID, IMSI in EF.IMSI, EF.ACC and the
ISIM's identities. Unknown elements and fields stay. Must never import anything above floor 0.
"""

from __future__ import annotations

from typing import Any, TypeVar

from keim.der import Sequence
from keim.ids import Iccid, Imsi
from keim.saip.codings import access_class, apn_octets, full_iccid, imsi_of, smsp_record, spn_octets
from keim.saip.elements import (
    AkaParameter,
    AlgorithmConfiguration,
    Fcp,
    FileItem,
    FileManagement,
    GenericFileManagement,
    KeyObject,
    PinCodes,
    PinCodesChoice,
    ProprietaryInfo,
    PukCodes,
    SecurityDomain,
)
from keim.saip.file_element import FileSystemElement, Steps
from keim.saip.filesystem import Ef
from keim.saip.installation import file_origins
from keim.saip.package import Package
from keim.saip.refusals import BadRecipe, NoSuchFile
from keim.saip.templates import Structure

S = TypeVar("S", bound=Sequence)


def changed(value: S, **changes: Any) -> S:
    """A copy with other fields that keeps the elements which we do not know."""
    return value.replace(ext=value.ext, **changes)


def with_iccid(package: Package, iccid: str) -> Package:
    """In the header and, where the package writes it itself, in EF.ICCID. The metadata follow the header."""
    number = full_iccid(iccid)
    header = package.header
    if header is None:
        raise BadRecipe("the package has no header", key="iccid")
    index = next(e.index for e in package.elements if e.value is header)
    package = package.replace(index, changed(header, iccid=number.header_octets))
    for element, value in package.values(FileSystemElement):
        field = value.get("ef-iccid") if element.name in ("mf", "iot") else None
        if field is not None and any(item.fill_file_content is not None for item in field.items or ()):
            steps = _refilled(field.items or (), number.octets)
            package = package.replace(element.index, value.with_field("ef-iccid", steps))
    return package


def with_imsi(package: Package, imsi: str) -> Package:
    """EF.IMSI and EF.ACC of every USIM, and the IMSI inside the ISIM's IMPI and IMPU."""
    number = Imsi(imsi)
    before: Imsi | None = None
    for element, value in package.values(FileSystemElement):
        if element.name not in ("usim", "iot"):
            continue
        field = value.get("ef-imsi")
        for item in field.items or () if field else ():
            if item.fill_file_content is not None:
                before = before or imsi_of(item.fill_file_content)
        made = value.with_field("ef-imsi", _refilled((field.items if field else None) or (), number.octets))
        acc = made.get("ef-acc")
        made = made.with_field("ef-acc", _refilled((acc.items if acc else None) or (), access_class(number)))
        package = package.replace(element.index, made)
    if before is None:
        raise BadRecipe("the package has no EF.IMSI", key="imsi")
    return _with_derived_identities(package, before, number) if len(before) == len(number) else package


def _with_derived_identities(package: Package, before: str, after: str) -> Package:
    """Replaces the digits where IMPI and IMPU were derived from the IMSI (same length, so no size
    changes).
    """
    old, new = before.encode(), after.encode()
    for element, value in package.values(FileSystemElement):
        if element.name != "isim":
            continue
        made = value
        for name in ("ef-impi", "ef-impu"):
            field = made.get(name)
            if field is None or not any(old in (item.fill_file_content or b"") for item in field.items or ()):
                continue
            steps = tuple(
                FileItem(fill_file_content=item.fill_file_content.replace(old, new))
                if item.fill_file_content is not None
                else item
                for item in field.items or ()
            )
            made = made.with_field(name, steps)
        if made is not value:
            package = package.replace(element.index, made)
    return package


def with_keys(package: Package, key: bytes, opc: bytes) -> Package:
    """K and OPc (or TOPc) of every application that has an algorithm of its own; initial SQNs start anew at
    0.
    """
    found = False
    for element, value in package.values(AkaParameter):
        given = value.algo_configuration.algo_parameter
        if given is None:
            continue
        found = True
        configuration = AlgorithmConfiguration(algo_parameter=changed(given, key=key, opc=opc))
        package = package.replace(element.index, changed(value, algo_configuration=configuration))
    if not found:
        raise BadRecipe("the package has no akaParameter with a key", key="ki")
    return package


def pin_octets(digits: str, key: str = "pin") -> bytes:
    """4 to 8 digits, padded with FF."""
    if not (digits.isascii() and digits.isdecimal() and 4 <= len(digits) <= 8):
        raise BadRecipe("4 to 8 digits are needed", key=key)
    return digits.encode("ascii").ljust(8, b"\xff")


def with_pin(package: Package, reference: int, value: bytes) -> Package:
    """The value of a PIN or administrative code wherever the package defines the reference."""
    found = False
    for element, codes in package.values(PinCodes):
        entries = codes.pin_codes.pinconfig or ()
        if not any(entry.key_reference == reference for entry in entries):
            continue
        found = True
        pins = tuple(changed(e, pin_value=value) if e.key_reference == reference else e for e in entries)
        package = package.replace(element.index, changed(codes, pin_codes=PinCodesChoice(pinconfig=pins)))
    if not found:
        raise BadRecipe(f"the package defines no PIN with key reference {reference:02X}", key="pin")
    return package


def with_puk(package: Package, reference: int, value: bytes) -> Package:
    for element, codes in package.values(PukCodes):
        if any(entry.key_reference == reference for entry in codes.puk_codes):
            puks = tuple(
                changed(e, puk_value=value) if e.key_reference == reference else e for e in codes.puk_codes
            )
            return package.replace(element.index, changed(codes, puk_codes=puks))
    raise BadRecipe(f"the package defines no PUK with key reference {reference:02X}", key="puk")


def with_domain_key(
    package: Package, version: int, identifier: int, value: bytes, aid: bytes | None = None
) -> Package:
    """A key of the MNO-SD, or of the security domain `aid`, by key version and identifier; the type stays."""
    for element, domain in package.values(SecurityDomain):
        if aid is not None and domain.instance.instance_aid != aid:
            continue
        keys = tuple(_with_key_data(k, version, identifier, value) for k in domain.key_list or ())
        if keys != (domain.key_list or ()):
            return package.replace(element.index, changed(domain, key_list=keys))
    raise BadRecipe(f"no security domain has key {version:02X}/{identifier:02X}", key="sd_key")


def _with_key_data(key: KeyObject, version: int, identifier: int, value: bytes) -> KeyObject:
    if key.key_version_number != bytes((version,)) or key.key_identifier != bytes((identifier,)):
        return key
    first, *rest = key.key_components
    return changed(key, key_components=(changed(first, key_data=value), *rest))


def with_smsp(package: Package, number: str) -> Package:
    """The service centre's number in record 1 of EF.SMSP."""
    _, fs = file_origins(package)
    path = f"{fs.path((fs.adfs[0].fid,))}/6F42" if fs.adfs else "ADF.USIM/6F42"
    ef = fs.file(path)
    record = smsp_record(number, ef.record_length)
    return with_file(package, path, record + ef.content[ef.record_length :])


def with_name(package: Package, name: str) -> Package:
    """The service provider's name in EF.SPN."""
    _, fs = file_origins(package)
    ef = fs.file("ADF.USIM/6F46")
    return with_file(package, "ADF.USIM/6F46", spn_octets(name, ef.size))


def with_apns(package: Package, names: tuple[str, ...]) -> Package:
    """The list of access point names in EF.ACL."""
    _, fs = file_origins(package)
    octets = apn_octets(names)
    return with_file(package, "ADF.USIM/6F57", octets.ljust(fs.file("ADF.USIM/6F57").size, b"\xff"))


def with_file(package: Package, path: str, content: bytes) -> Package:
    """The content of one file; its size grows or shrinks with it, records stay as long as they are."""
    origins, fs = file_origins(package)
    key = fs.target(fs.key_of(path))
    ef = fs.node(key)
    if not isinstance(ef, Ef) or key not in origins:
        raise NoSuchFile(f"{path} is no file that the package makes")
    if ef.record_length and len(content) % ef.record_length:
        raise BadRecipe(
            f"{len(content)} octets are no whole number of records of {ef.record_length}", key=path
        )
    index, where = origins[key]
    value = package.elements[index].value
    if isinstance(where, str):
        assert isinstance(value, FileSystemElement)
        field = value.get(where)
        size = len(content) if len(content) != ef.size and ef.structure is not Structure.BER_TLV else None
        steps = _refilled((field.items if field else None) or (), content, size)
        return package.replace(index, value.with_field(where, steps))
    assert isinstance(value, GenericFileManagement)
    return package.replace(
        index, _managed(value, where, content, len(content) if len(content) != ef.size else None)
    )


def _refilled(items: Steps, content: bytes, size: int | None = None) -> Steps:
    """The steps of a field with one content that covers all; a pattern in the package gives way to it."""
    fcp = next((item.file_descriptor for item in items if item.file_descriptor is not None), None)
    if size is not None or fcp is not None:
        fcp = _sized(fcp or Fcp(), size)
    head = (FileItem(file_descriptor=fcp),) if fcp is not None else ()
    return (*head, FileItem(fill_file_content=content))


def _sized(fcp: Fcp, size: int | None) -> Fcp:
    changes: dict[str, Any] = {}
    if size is not None:
        changes["ef_file_size"] = number_octets(size)
    info = fcp.proprietary_ef_info
    if info is not None and (info.fill_pattern is not None or info.repeat_pattern is not None):
        bare: ProprietaryInfo = changed(info, fill_pattern=None, repeat_pattern=None)
        changes["proprietary_ef_info"] = bare
    return changed(fcp, **changes) if changes else fcp


def number_octets(number: int) -> bytes:
    """Minimal big-endian, as efFileSize wants it."""
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _managed(
    value: GenericFileManagement, where: tuple[int, int], content: bytes, size: int | None
) -> GenericFileManagement:
    run_number, step_number = where
    run = value.commands[run_number]
    after = step_number + 1
    while after < len(run) and run[after].create_fcp is None and run[after].file_path is None:
        after += 1
    fcp = run[step_number].create_fcp
    assert fcp is not None
    made = FileManagement(create_fcp=_sized(fcp, size))
    new_run = (*run[:step_number], made, FileManagement(fill_file_content=content), *run[after:])
    commands = (*value.commands[:run_number], new_run, *value.commands[run_number + 1 :])
    return changed(value, commands=commands)


def renumbered(package: Package) -> Package:
    """Identifications 1, 2, 3 ... in the order of the elements: only on request, cards report them."""
    for element in package.elements:
        header, value = element.header, element.value
        if header is None or value is None or header.identification == element.index:
            continue
        numbered = changed(header, identification=element.index)
        if isinstance(value, FileSystemElement):
            made: Any = FileSystemElement(value.tag, numbered, value.template_id, value.fields)
        else:
            made = changed(value, header=numbered)
        package = package.replace(element.index, made)
    return package


def iccid_of(package: Package) -> Iccid:
    iccid = package.iccid
    if iccid is None:
        raise BadRecipe("the header has no ICCID", key="iccid")
    return iccid
