"""The rule SIZE: lengths and ranges of the ASN.1 module, checked after decoding so that the rule can be
named.

Imports floor 0's own files only.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from keim.der import Choice, Sequence
from keim.saip import elements as e
from keim.saip.file_element import FileSystemElement
from keim.saip.package import Element, Package
from keim.saip.refusals import Finding
from keim.saip.rules.finding import finding

Range = tuple[int, int]
_U8: Range = (0, 255)
_U15: Range = (0, 32767)
_U16: Range = (0, 65535)
_U31: Range = (0, 2147483647)
_AID: Range = (5, 16)
_SOME: Range = (1, 1 << 24)
"""SIZE (1..MAX): a list that is there is not empty."""

_MEMORY = (
    "volatile_memory_quota",
    "non_volatile_memory_quota",
    "volatile_reserved_memory",
    "non_volatile_reserved_memory",
    "cumulative_granted_volatile_memory",
    "cumulative_granted_non_volatile_memory",
)
# lengths in octets (bytes), characters (str), entries (tuple); ranges of numbers (int)
_SIZES: dict[type, dict[str, Range]] = {
    e.PeHeader: {"identification": _U15},
    e.ProfileHeader: {
        "major_version": _U8,
        "minor_version": _U8,
        "profile_type": (1, 100),
        "iccid": (10, 10),
    },
    e.IotOptions: {"pix": (7, 11)},
    e.MandatoryAid: {"aid": _AID, "version": (2, 2)},
    e.ProprietaryInfo: {
        "special_file_information": (1, 1),
        "fill_pattern": (1, 200),
        "repeat_pattern": (1, 200),
        "file_details": (1, 1),
    },
    e.Fcp: {
        "file_descriptor": (2, 4),
        "file_id": (2, 2),
        "df_name": _AID,
        "lcsi": (1, 1),
        "security_attributes_referenced": (1, 3),
        "short_ef_id": (0, 1),
        "link_path": (0, 8),
    },
    e.FileItem: {"fill_file_offset": _U16},
    e.FileManagement: {"file_path": (0, 8), "fill_file_offset": _U16},
    e.GenericFileManagement: {"commands": _SOME},
    e.PinConfiguration: {
        "key_reference": _U8,
        "pin_value": (8, 8),
        "unblocking_pin_reference": _U8,
        "pin_attributes": _U8,
        "tries": _U8,
    },
    e.PinCodesChoice: {"pinconfig": (1, 26), "file_path": (0, 8)},
    e.PukConfiguration: {"key_reference": _U8, "puk_value": (8, 8), "tries": _U8},
    e.PukCodes: {"puk_codes": (1, 16)},
    e.MappingParameter: {"mapping_options": (1, 1), "mapping_source": _AID},
    e.AlgorithmParameter: {
        "algorithm_options": (1, 1),
        "rotation_constants": (5, 5),
        "xoring_constants": (80, 80),
        "auth_counter_max": (3, 3),
        "number_of_keccak": _U8,
    },
    e.AkaParameter: {
        "sqn_options": (1, 1),
        "sqn_delta": (6, 6),
        "sqn_age_limit": (6, 6),
        "sqn_init": (32, 32),
    },
    e.CdmaParameter: {
        "authentication_key": (8, 8),
        "ssd": (16, 16),
        "hrpd_access_authentication_data": (2, 32),
        "simple_ip_authentication_data": (3, 483),
        "mobile_ip_authentication_data": (5, 957),
    },
    e.KeyComponent: {"key_type": (1, 1), "mac_length": _U8},
    e.KeyObject: {
        "key_usage_qualifier": (1, 2),
        "key_access": (1, 1),
        "key_identifier": (1, 1),
        "key_version_number": (1, 1),
        "key_components": _SOME,
    },
    e.SecurityDomain: {"key_list": _SOME, "sd_perso_data": _SOME},
    e.ApplicationInstance: {
        "load_package_aid": _AID,
        "class_aid": _AID,
        "instance_aid": _AID,
        "extradite_security_domain_aid": _AID,
        "life_cycle_state": (1, 1),
    },
    e.SystemSpecificParameters: dict.fromkeys(_MEMORY, (2, 4)),
    e.OpenPersoData: {"restrict_parameter": (1, 1)},
    e.CatTpParameters: {"max_sdu": _U16, "max_pdu": _U16},
    e.Rfm: {
        "instance_aid": _AID,
        "security_domain_aid": _AID,
        "tar_list": _SOME,
        "minimum_security_level": (1, 1),
    },
    e.Application: {"instance_list": _SOME},
    e.AdfRfmAccess: {"adf_aid": _AID},
    e.LoadBlock: {"load_package_aid": _AID, "security_domain_aid": _AID},
}


_HOLDERS = frozenset(
    name
    for name, thing in vars(e).items()
    if isinstance(thing, type) and issubclass(thing, (Sequence, Choice)) and thing is not e.Services
)


def size_findings(package: Package) -> Iterator[Finding]:
    for element in package.elements:
        value = element.value
        if isinstance(value, FileSystemElement):
            yield from _found(element, value.header, "header")
            for field in value.fields:
                row = value.row(field)
                for item in field.items or ():
                    yield from _found(element, item, row.field if row else f"{field.tag:X}")
        elif value is not None:
            yield from _found(element, value, "")
        if isinstance(value, e.Rfm):
            for tar in value.tar_list or ():
                if len(tar) != 3:
                    yield finding("SIZE", element, f"a TAR has 3 octets, not {len(tar)}", path="tar_list")
        if isinstance(value, e.AkaParameter):
            for seq in value.sqn_init:
                if len(seq) != 6 or seq[0] > 7:
                    yield finding("SIZE", element, "an initial SEQ has 43 bits in 6 octets", path="sqn_init")
                    break


@cache
def _plan(type_: type) -> tuple[tuple[str, Range | None, bool], ...]:
    """What to look at in a value of the type: (field, its range, whether it holds values with ranges)."""
    table = _SIZES.get(type_, {})
    plan = []
    for name, annotation in inspect.get_annotations(type_).items():
        has_inner = any(word in _HOLDERS for word in re.findall(r"\w+", str(annotation)))
        if name in table or has_inner:
            plan.append((name, table.get(name), has_inner))
    return tuple(plan)


def _found(element: Element, value: Any, path: str) -> Iterator[Finding]:
    for name, limits, has_inner in _plan(value.__class__):
        part = getattr(value, name)
        if part is None:
            continue
        here = f"{path}.{name}" if path else name
        if limits is not None:
            least, most = limits
            measure = part if isinstance(part, int) else len(part)
            if not least <= measure <= most:
                wanted = str(least) if least == most else f"{least} to {most}"
                yield finding("SIZE", element, f"{measure}, allowed is {wanted}", path=here)
        if not has_inner:
            continue
        if isinstance(part, tuple):
            for entry in part:
                if isinstance(entry, tuple):
                    for inner in entry:
                        yield from _found(element, inner, here)
                else:
                    yield from _found(element, entry, here)
        else:
            yield from _found(element, part, here)
