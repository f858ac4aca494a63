"""What an eUICC checks of a package as a whole: order, versions, sizes, references between elements (§5).

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from keim.saip.elements import (
    END_TAG,
    HEADER_TAG,
    AkaParameter,
    Algorithm,
    GenericFileManagement,
    PinCodes,
    PukCodes,
    Rfm,
    SecurityDomain,
)
from keim.saip.elements import Application as ApplicationElement
from keim.saip.file_element import FileSystemElement
from keim.saip.installing.keys import toolkit_parameters
from keim.saip.package import Element, Package
from keim.saip.platform import Platform
from keim.saip.refusals import Finding, Status
from keim.saip.rules.finding import finding
from keim.saip.rules.sizes import size_findings
from keim.saip.templates import KNOWN_OIDS

_ADFS = {"usim": "usim", "isim": "isim", "csim": "csim", "iot": "usim"}
_AFTER_MF = ("cd", "telecom", "usim", "isim", "csim")
_PARENT = {
    **dict.fromkeys(
        ("opt-usim", "phonebook", "gsm-access", "df-5gs", "df-saip", "df-snpn", "df-5gprose"), "usim"
    ),
    "opt-isim": "isim",
    "opt-csim": "csim",
}
_FRONT = frozenset({"header", "pukCodes", "nonStandard"})
_BEFORE_DOMAINS = (FileSystemElement, GenericFileManagement, PinCodes, PukCodes, AkaParameter)


def structural_findings(package: Package, platform: Platform) -> list[Finding]:
    """In the order of the rules below, first those that make all others pointless."""
    found = list(_order(package))
    if any(f.rule in ("ORD-HEADER", "ORD-END") for f in found):
        return found
    found += _versions(package)
    found += _demands(package, platform)
    found += size_findings(package)
    found += _iot(package, platform)
    found += _places(package)
    found += _templates(package)
    found += _authentication(package)
    found += _pins(package)
    found += _domains(package)
    return found


def _order(package: Package) -> Iterator[Finding]:
    elements = package.elements
    if not elements or elements[0].tag != HEADER_TAG:
        yield finding("ORD-HEADER", elements[0] if elements else None, "the first element is no header")
    for element in elements[1:]:
        if element.tag == HEADER_TAG:
            yield finding("ORD-HEADER", element, "a header that is not the first element")
    ends = [element for element in elements if element.tag == END_TAG]
    if not ends:
        yield finding("ORD-END", elements[-1] if elements else None, "the package has no end element")
    for element in elements[ends[0].index + 1 :] if ends else ():
        rule = "ORD-END" if element.tag == END_TAG else "TRAILING"
        yield finding(rule, element, "stands after the end element")
    seen: dict[int, Element] = {}
    for element in elements:
        number = element.identification
        if number is None:
            continue
        if number in seen:
            first = seen[number]
            yield finding(
                "ID-UNIQUE", element, f"identification {number} is that of element {first.index} too"
            )
        seen.setdefault(number, element)


def _versions(package: Package) -> Iterator[Finding]:
    header = package.header
    if header is None:
        return
    first = package.elements[0]
    if header.major_version not in (2, 3):
        yield finding("VER-MAJOR", first, f"major version {header.major_version}")


def _demands(package: Package, platform: Platform) -> Iterator[Finding]:
    header = package.header
    if header is None:
        return
    first = package.elements[0]
    for number, name in enumerate(header.mandatory_services.names, 1):
        if name not in platform.services:
            yield finding("SERVICE", first, f"service {name} is demanded and not there", additional=number)
    if header.mandatory_services.ext:
        yield finding("SERVICE", first, "a service is demanded that no version we know has")
    for oid in header.mandatory_gfste_list:
        if oid not in KNOWN_OIDS:
            yield finding("TPL-UNKNOWN", first, f"template {oid} is demanded and not known")
    for entry in header.mandatory_aids or ():
        if entry.aid not in platform.libraries:
            yield finding(
                "LIB-MISSING", first, f"library {entry.aid.hex().upper()} is demanded and not there"
            )


def _iot(package: Package, platform: Platform) -> Iterator[Finding]:
    header = package.header
    iot = package.named("iot")
    if header is None:
        return
    first = package.elements[0]
    if header.iot_options is None:
        for element in iot:
            yield finding("IOT-OPTIONS", element, "PE-IoT without iotOptions in the header")
        for element in package.named("opt-iot"):
            yield finding("IOT-OPTIONS", element, "PE-OPT-IoT without iotOptions in the header")
        return
    if not platform.has_iot_minimal:
        yield finding(
            "IOT-OPTIONS",
            first,
            "the eUICC takes no IoT minimal profiles",
            status=Status.FEATURE_NOT_SUPPORTED,
        )
    for element in package.named("mf"):
        yield finding("IOT-NOMF", element, "PE-MF in an IoT minimal profile")
    if len(iot) != 1:
        culprit = iot[1] if iot else first
        yield finding("IOT-OPTIONS", culprit, f"iotOptions with {len(iot)} PE-IoT instead of one")
        return
    for element in package.named("opt-iot"):
        if element.index < iot[0].index:
            yield finding("IOT-OPTIONS", element, "PE-OPT-IoT before PE-IoT")
    for element in package.elements[: iot[0].index]:
        if element.name not in _FRONT:
            yield finding("IOT-FIRST", iot[0], f"{element.name} stands between the header and PE-IoT")
            break


def _makes_mf(element: Element) -> bool:
    if element.name in ("mf", "iot"):
        return True
    if isinstance(element.value, GenericFileManagement):
        return any(
            step.create_fcp is not None and step.create_fcp.file_id == b"\x3f\x00"
            for run in element.value.commands
            for step in run
        )
    return False


def _places(package: Package) -> Iterator[Finding]:
    has_mf = False
    last_adf: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    puks = 0
    before = ""
    for element in package.elements:
        name = element.name
        makes_mf = _makes_mf(element)
        is_file = isinstance(element.value, (FileSystemElement, GenericFileManagement))
        if is_file and not makes_mf and not has_mf:
            rule = "NAA-ORDER" if name in _AFTER_MF else "MF-FIRST"
            yield finding(rule, element, "stands before the element that makes the MF")
            has_mf = True
        if makes_mf and has_mf and name == "mf" and not package.is_iot_minimal:
            yield finding("MF-FIRST", element, "stands after other files or makes a second MF")
        has_mf = has_mf or makes_mf
        if name in _ADFS:
            last_adf[_ADFS[name]] = element.index
        if name in _PARENT:
            adf = last_adf.get(_PARENT[name])
            if adf is None:
                yield finding("NAA-ORDER", element, f"stands before the ADF of {_PARENT[name]}")
            elif (name, adf) in seen:
                yield finding("NAA-ORDER", element, "stands twice for one ADF")
            else:
                seen.add((name, adf))
        if name == "eap" and not last_adf:
            yield finding("NAA-ORDER", element, "stands before any ADF")
        if isinstance(element.value, PukCodes):
            puks += 1
            yield from _puk_place(package, element, puks, before)
        if name != "nonStandard":
            before = "mf" if makes_mf else name


def _puk_place(package: Package, element: Element, count: int, before: str) -> Iterator[Finding]:
    wanted = "header" if package.is_iot_minimal else "mf"
    if count > 1:
        yield finding("PUK-PLACE", element, "a second PE-PUKCodes")
    elif before != wanted:
        yield finding("PUK-PLACE", element, f"stands after {before}, not right after the {wanted}")


def _templates(package: Package) -> Iterator[Finding]:
    for element, value in package.values(FileSystemElement):
        known = value.template
        if known is None:
            yield finding("TPL-UNKNOWN", element, f"template {value.template_id} is not known")
        elif known.element != element.name:
            yield finding("TPL-PE", element, f"template {value.template_id} belongs to {known.element}")


def _authentication(package: Package) -> Iterator[Finding]:
    naa: int | None = None
    served: set[int] = set()
    last_adf: dict[str, int] = {}
    for element in package.elements:
        if element.name in _ADFS:
            naa = last_adf[_ADFS[element.name]] = element.index
        elif element.name in _PARENT:
            naa = last_adf.get(_PARENT[element.name], naa)
        elif isinstance(element.value, GenericFileManagement) and _makes_adf(element.value):
            naa = element.index
        value = element.value
        if not isinstance(value, AkaParameter):
            continue
        if naa is None:
            yield finding("AKA-CTX", element, "stands before any network access application")
        elif naa in served:
            yield finding("AKA-DUP", element, "the application has authentication parameters already")
        else:
            served.add(naa)
        yield from _key_lengths(element, value)


def _makes_adf(value: GenericFileManagement) -> bool:
    return any(
        step.create_fcp is not None and step.create_fcp.df_name is not None
        for run in value.commands
        for step in run
    )


def _key_lengths(element: Element, value: AkaParameter) -> Iterator[Finding]:
    given = value.algo_configuration.algo_parameter
    if given is None:
        return
    key, opc = len(given.key), len(given.opc)
    if given.algorithm_id == Algorithm.MILENAGE:
        fits = key == 16 and opc == 16
    elif given.algorithm_id == Algorithm.TUAK:
        fits = key in (16, 32) and opc == 32
    elif given.algorithm_id == Algorithm.USIM_TEST:
        fits = key == 16
    else:
        yield finding("AKA-KEYLEN", element, f"algorithm {int(given.algorithm_id)} is not known")
        return
    if not fits:
        name = given.algorithm_id.name.lower()
        yield finding("AKA-KEYLEN", element, f"key of {key} and OPc of {opc} octets with {name}")


def _pins(package: Package) -> Iterator[Finding]:
    # the PUK that an IoT profile has by default serves its default PIN1 only
    puks = {puk.key_reference for _, codes in package.values(PukCodes) for puk in codes.puk_codes}
    context = ""
    last_adf: dict[str, int] = {}
    seen: set[str] = set()
    for element in package.elements:
        name = element.name
        if name in _ADFS:
            last_adf[_ADFS[name]] = element.index
        if name in _PARENT and _PARENT[name] in last_adf:
            context = f"adf {last_adf[_PARENT[name]]}"
        elif name in _ADFS:
            context = f"adf {element.index}"
        elif name == "mf":
            context = "mf"
        elif isinstance(element.value, (FileSystemElement, GenericFileManagement)) and name != "opt-iot":
            context = f"{name} {element.index}"
        if not isinstance(element.value, PinCodes):
            continue
        if context in seen:
            yield finding("PIN-ONCE", element, "a second PE-PINCodes for the same directory")
        seen.add(context)
        yield from _pin_entries(element, element.value, context, puks)


def _pin_entries(element: Element, value: PinCodes, context: str, puks: set[int]) -> Iterator[Finding]:
    references: set[int] = set()
    for pin in value.pin_codes.pinconfig or ():
        reference = pin.key_reference
        if reference in references:
            yield finding("PIN-ONCE", element, f"key reference {reference:02X} twice")
        references.add(reference)
        allowed = (range(1, 9), range(10, 15)) if context == "mf" else (range(0x81, 0x89), range(0x8A, 0x8F))
        is_free = context.startswith("genericFileManagement")
        if not is_free and not any(reference in part for part in allowed):
            kind = "global" if context == "mf" else "local"
            yield finding("PIN-CONTEXT", element, f"key reference {reference:02X} is not {kind}")
        unblocking = pin.unblocking_pin_reference
        if unblocking is not None and unblocking not in puks:
            yield finding(
                "PIN-PUKREF", element, f"PUK {unblocking:02X} of PIN {reference:02X} is not defined"
            )


def _domains(package: Package) -> Iterator[Finding]:
    first: Element | None = None
    tars: dict[bytes, int] = {}
    for element in package.elements:
        value = element.value
        if first is not None and isinstance(value, _BEFORE_DOMAINS):
            yield finding(
                "SD-PLACE", first, f"{element.name} (element {element.index}) follows a security domain"
            )
            break
        if isinstance(value, SecurityDomain):
            first = first or element
    first = None
    for element in package.elements:
        value = element.value
        used: tuple[bytes, ...] = ()
        if isinstance(value, SecurityDomain):
            if first is None and value.instance.extradite_security_domain_aid is not None:
                yield finding("SD-MNO", element, "the MNO-SD names another security domain")
            first = first or element
            yield from _duplicate_keys(element, value)
            used = _tars(value.instance.application_parameters, value.instance.instance_aid)
        elif isinstance(value, (Rfm, ApplicationElement)) and first is None:
            yield finding("SD-FIRST", element, "stands before the MNO-SD")
        if isinstance(value, Rfm):
            used = value.tar_list or ((value.instance_aid[12:15],) if len(value.instance_aid) >= 15 else ())
        elif isinstance(value, ApplicationElement):
            used = tuple(
                tar
                for instance in value.instance_list or ()
                for tar in _tars(instance.application_parameters, instance.instance_aid)
            )
        for tar in used:
            if tar in tars and tars[tar] != element.index:
                yield finding(
                    "TAR-UNIQUE", element, f"TAR {tar.hex().upper()} is that of element {tars[tar]} too"
                )
            tars.setdefault(tar, element.index)


def _tars(parameters: object, aid: bytes) -> tuple[bytes, ...]:
    toolkit = getattr(parameters, "uicc_toolkit", None) or b""
    return toolkit_parameters(toolkit)[1] or ((aid[12:15],) if len(aid) >= 15 else ())


def _duplicate_keys(element: Element, value: SecurityDomain) -> Iterator[Finding]:
    seen: set[tuple[bytes, bytes]] = set()
    for key in value.key_list or ():
        name = (key.key_version_number, key.key_identifier)
        if name in seen:
            shown = f"version {name[0].hex().upper()}, identifier {name[1].hex().upper()}"
            yield finding("SD-KEYDUP", element, f"two keys with {shown}")
        seen.add(name)
