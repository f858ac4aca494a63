"""A package as people read it: elements with what each costs, files with decoded contents; secrets hidden.

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keim.errors import Malformed
from keim.ids import Iccid
from keim.saip import codings
from keim.saip.access import parse_rule
from keim.saip.elements import (
    AkaParameter,
    Application,
    CdmaParameter,
    GenericFileManagement,
    NonStandard,
    PinCodes,
    ProfileHeader,
    PukCodes,
    Rfm,
    SecurityDomain,
)
from keim.saip.file_element import FileSystemElement
from keim.saip.filesystem import Directory, Ef, FileSystem, Key
from keim.saip.package import Element, Package


def package_document(
    package: Package, fs: FileSystem | None, *, show_secrets: bool = False
) -> dict[str, Any]:
    """The whole package for `--json`: elements, and the files that installing it makes."""
    header = package.header
    return {
        "size": package.size,
        "version": ".".join(map(str, package.version)),
        "kind": "iot-minimal" if package.is_iot_minimal else "full",
        "iccid": package.iccid,
        "name": (header.profile_type or "") if header else "",
        "services": list(header.mandatory_services.names) if header else [],
        "elements": [element_document(element, show_secrets=show_secrets) for element in package.elements],
        "files": [] if fs is None else [node_document(fs, key) for key, _ in fs.walk()],
    }


def element_document(element: Element, *, show_secrets: bool = False) -> dict[str, Any]:
    document: dict[str, Any] = {
        "index": element.index,
        "element": element.name,
        "tag": f"{element.tag:X}",
        "offset": element.offset,
        "size": len(element.raw),
        "identification": element.identification,
        "mandated": element.header.mandated if element.header is not None else None,
        "summary": summary(element, show_secrets=show_secrets),
    }
    value = element.value
    if isinstance(value, FileSystemElement):
        document["template"] = value.template_id
        document["fields"] = [
            {
                "field": row.field if (row := value.row(field)) is not None else f"{field.tag:X}",
                "tag": f"{field.tag:X}",
                "size": len(field.raw),
                "switched_off": field.is_switched_off,
            }
            for field in value.fields
        ]
    return {name: part for name, part in document.items() if part is not None}


def summary(element: Element, *, show_secrets: bool = False) -> str:
    """What the element says, in one line."""
    value = element.value

    def secret(octets: bytes) -> str:
        return octets.hex().upper() if show_secrets else "***"

    if isinstance(value, ProfileHeader):
        kind = "IoT minimal" if value.iot_options is not None else "Full"
        services = ", ".join(value.mandatory_services.names) or "no services"
        digits = value.iccid.hex().upper().rstrip("F")
        name = f" {value.profile_type!r}" if value.profile_type else ""
        version = f"version {value.major_version}.{value.minor_version}"
        return f"{kind} profile{name}, {version}, ICCID {digits}; {services}"
    if isinstance(value, FileSystemElement):
        off = sum(field.is_switched_off for field in value.fields)
        return f"template {value.template_id}, {len(value.fields)} fields" + (
            f", {off} switched off" if off else ""
        )
    if isinstance(value, GenericFileManagement):
        made = sum(step.create_fcp is not None for run in value.commands for step in run)
        return f"makes {made} files and directories"
    if isinstance(value, PinCodes):
        if value.pin_codes.file_path is not None:
            return f"shares the PINs of {value.pin_codes.file_path.hex().upper() or 'MF'}"
        return ", ".join(
            f"{pin.key_reference:02X}={secret(pin.pin_value)}" for pin in value.pin_codes.pinconfig or ()
        )
    if isinstance(value, PukCodes):
        return ", ".join(f"{puk.key_reference:02X}={secret(puk.puk_value)}" for puk in value.puk_codes)
    if isinstance(value, AkaParameter):
        given = value.algo_configuration.algo_parameter
        if given is None:
            source = value.algo_configuration.mapping_parameter
            return (
                f"shares keys with {source.mapping_source.hex().upper()}" if source is not None else "unknown"
            )
        return f"{given.algorithm_id.name.lower()}, K={secret(given.key)}, OPc={secret(given.opc)}"
    if isinstance(value, CdmaParameter):
        return f"A-key={secret(value.authentication_key)}"
    if isinstance(value, SecurityDomain):
        keys = ", ".join(
            f"{k.key_version_number.hex().upper()}/{k.key_identifier.hex().upper()}"
            f"={secret(k.key_components[0].key_data) if k.key_components else '-'}"
            for k in value.key_list or ()
        )
        return f"{value.instance.instance_aid.hex().upper()}; keys {keys or 'none'}"
    if isinstance(value, Rfm):
        tars = ", ".join(tar.hex().upper() for tar in value.tar_list or ()) or "by AID"
        level = value.minimum_security_level.hex().upper()
        return f"{value.instance_aid.hex().upper()}; TAR {tars}; security {level}"
    if isinstance(value, Application):
        load = value.load_block
        size = f"load file of {len(load.load_block_object)} octets, " if load is not None else ""
        return f"{size}{len(value.instance_list or ())} instances"
    if isinstance(value, NonStandard):
        return f"issuer {value.issuer_id}, {len(value.content)} octets"
    return "" if value is not None else "unknown element, kept as it is"


def node_document(fs: FileSystem, key: Key) -> dict[str, Any]:
    node = fs.node(key)
    assert node is not None
    document: dict[str, Any] = {"path": fs.path(key), "name": node.name, "kind": node.structure.value}
    if isinstance(node, Directory):
        document |= {
            "aid": node.aid.hex().upper() if node.aid else None,
            "pins": [f"{reference:02X}" for reference in node.pin_references],
        }
    else:
        document |= {
            "size": node.size,
            "record_length": node.record_length or None,
            "sfi": f"{node.sfi:02X}" if node.sfi is not None else None,
            "source": node.source.value,
            "content": node.content.hex().upper(),
            "meaning": meaning(node),
            "link": fs.path(node.link) if node.link is not None else None,
        }
    rule = fs.access_rule(key)
    document["access"] = access_text(rule, is_directory=isinstance(node, Directory)) or None
    return {name: part for name, part in document.items() if part is not None}


def access_text(record: bytes, *, is_directory: bool = False) -> str:
    """`read always, update ADM1`; empty for a record that cannot be read."""
    try:
        entries = parse_rule(record)
    except Malformed:
        return ""
    names = {0x02: "create files", 0x40: "delete"} if is_directory else {0x01: "read", 0x02: "update"}
    found = []
    for bit, name in names.items():
        entry = next((e for e in entries if e.mode & bit), None)
        if entry is not None:
            found.append(f"{name} {entry.condition}")
    return ", ".join(found)


def _hex_or(decode: Callable[[bytes], object | None]) -> Callable[[Ef], str | None]:
    def decoded(ef: Ef) -> str | None:
        try:
            found = decode(ef.content)
        except (Malformed, IndexError, ValueError):
            return None
        return None if found is None else str(found)

    return decoded


def _records(decode: Callable[[bytes], str | None]) -> Callable[[Ef], str | None]:
    def decoded(ef: Ef) -> str | None:
        found = [decode(ef.record(number)) for number in range(1, ef.records + 1)]
        return ", ".join(text for text in found if text) or None

    return decoded


def _plmns(step: int) -> Callable[[bytes], str | None]:
    def decoded(content: bytes) -> str | None:
        found = [codings.plmn_of(content[i : i + 3]) for i in range(0, len(content) - 2, step)]
        return ", ".join(plmn for plmn in found if plmn) or "none"

    return decoded


def _services(content: bytes) -> str:
    return "services " + ", ".join(map(str, sorted(codings.services_of(content))))


def _dir_entry(record: bytes) -> str | None:
    if record[:1] != b"\x61" or len(record) < 4:
        return None
    aid = record[4 : 4 + record[3]].hex().upper()
    rest = record[4 + record[3] :]
    label = rest[2 : 2 + rest[1]].decode("ascii", "replace") if rest[:1] == b"\x50" and len(rest) > 1 else ""
    return f"{aid} {label}".strip()


def _emergency(record: bytes) -> str | None:
    digits = "".join(f"{octet & 15:X}{octet >> 4:X}" for octet in record[:3]).split("F")[0]
    return digits or None


_MEANINGS: dict[str, Callable[[Ef], str | None]] = {
    "ef-iccid": _hex_or(Iccid.from_octets),
    "ef-imsi": _hex_or(codings.imsi_of),
    "ef-acc": _hex_or(lambda content: "class " + ", ".join(map(str, codings.access_classes(content)))),
    "ef-spn": _hex_or(lambda content: codings.name_of(content[1:])),
    "ef-ust": _hex_or(_services),
    "ef-ist": _hex_or(_services),
    "ef-ad": _hex_or(lambda content: f"MNC of {content[3] & 15} digits" if len(content) > 3 else None),
    "ef-ecc": _records(_emergency),
    "ef-dir": _records(_dir_entry),
    "ef-smsp": _records(codings.smsc_of),
    "ef-msisdn": _records(codings.msisdn_of),
    "6F40": _records(codings.msisdn_of),
    "ef-acl": _hex_or(lambda content: ", ".join(codings.apns_of(content) or ()) or None),
    "6F57": _hex_or(lambda content: ", ".join(codings.apns_of(content) or ()) or None),
    "ef-hplmnwact": _hex_or(_plmns(5)),
    "ef-oplmnwact": _hex_or(_plmns(5)),
    "ef-plmnwact": _hex_or(_plmns(5)),
    "ef-ehplmn": _hex_or(_plmns(3)),
    "ef-fplmn": _hex_or(_plmns(3)),
    "ef-hpplmn": _hex_or(lambda content: f"every {content[0] * 6} minutes" if content[0] else "never"),
}


def meaning(ef: Ef) -> str | None:
    """The content in words, for files whose coding we know."""
    decode = _MEANINGS.get(ef.name)
    return decode(ef) if decode is not None and ef.link is None else None
