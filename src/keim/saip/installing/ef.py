"""One elementary file: what its template says, changed by what the package says (§6.2, §6.3).

Must never import anything above floor 0.
"""

from __future__ import annotations

from functools import cache, lru_cache
from sys import intern

from keim.saip.elements import Fcp
from keim.saip.filesystem import Ef, Key, Source
from keim.saip.installing.tree import Fault, Tree
from keim.saip.refusals import Status
from keim.saip.templates import Pattern, Structure, TemplateFile

ARR_OF_MF = b"\x2f\x06"
ARR_OF_ADF = b"\x6f\x06"
MOST_SHARED = 2048
FF = Pattern(repeated=b"\xff")
_DESCRIPTORS = {
    0x01: Structure.TRANSPARENT,
    0x02: Structure.LINEAR,
    0x06: Structure.CYCLIC,
    0x38: Structure.DF,
    0x39: Structure.BER_TLV,
}
Step = int | bytes
"""An offset to skip or octets to write."""


@cache
def template_ef(row: TemplateFile, arr: bytes) -> Ef:
    """A file exactly as its template says: one object for all profiles."""
    assert row.size is not None
    return Ef(
        fid=row.path[-1],
        name=intern(row.field),
        structure=row.structure,
        size=row.size,
        record_length=row.record_length or 0,
        sfi=row.sfi,
        rule=_rule(arr, row.access_rule or 0),
        content=_expanded(row.default or FF, row.size, row.record_length or 0),
        source=Source.TEMPLATE,
        is_volatile=row.is_volatile,
        special=0x80 if row.is_volatile else 0x00,
    )


def _expanded(pattern: Pattern, size: int, record_length: int) -> bytes:
    """A content from a pattern; equal ones of common sizes are one object."""
    if size > MOST_SHARED:
        return _written(pattern, size, record_length)
    return _shared(pattern, size, record_length)


@lru_cache(maxsize=4096)
def _shared(pattern: Pattern, size: int, record_length: int) -> bytes:
    return _written(pattern, size, record_length)


def _written(pattern: Pattern, size: int, record_length: int) -> bytes:
    """The pattern begins anew at every record."""
    if record_length:
        return (pattern.expand(record_length) * (size // record_length + 1))[:size]
    return pattern.expand(size)


@lru_cache(maxsize=1024)
def _rule(arr: bytes, record: int) -> bytes:
    return arr + bytes((record,)) if record else b""


def rule_octets(fcp: Fcp, default: int, arr: bytes) -> bytes:
    """8B as three octets: one octet names a record of the implied EF.ARR."""
    given = fcp.security_attributes_referenced
    if given is None:
        return _rule(arr, default)
    if len(given) == 1:
        return _rule(arr, given[0])
    if len(given) != 3:
        raise Fault("SIZE", "securityAttributesReferenced has 1 or 3 octets", status=Status.INVALID_PARAMETER)
    return _rule(given[:2], given[2])


def descriptor_of(fcp: Fcp | None, structure: Structure, length: int | None) -> tuple[Structure, int | None]:
    """Structure and record length of a file, from the package where it says so."""
    if fcp is None or fcp.file_descriptor is None:
        return structure, length
    octets = fcp.file_descriptor
    if len(octets) not in (2, 4):
        raise Fault("SIZE", "fileDescriptor has 2 or 4 octets", status=Status.INVALID_PARAMETER)
    found = _DESCRIPTORS.get(octets[0] & 0x3F)
    if found is None:
        raise Fault("FCP-FIELDS", f"file descriptor octet {octets[0]:02X}", status=Status.INVALID_PARAMETER)
    if found.has_records:
        length = int.from_bytes(octets[2:4], "big") if len(octets) == 4 else length
        if not length:
            raise Fault(
                "FCP-FIELDS", "a file with records needs their length", status=Status.INVALID_PARAMETER
            )
        return found, length
    return found, None


def make_ef(
    tree: Tree,
    *,
    fid: int,
    name: str,
    structure: Structure,
    record_length: int,
    size: int | None,
    sfi: int | None,
    rule: int,
    arr: bytes,
    default: Pattern | None,
    default_source: Source,
    is_volatile: bool,
    needs_content: bool,
    fcp: Fcp | None,
    steps: list[Step],
) -> Ef:
    """A file from what the template says and what the package changes."""
    link: Key | None = None
    life_cycle, special = 0x05, 0x80 if is_volatile else 0x00
    pattern, source, rule3 = default, default_source, None
    if fcp is not None:
        if fcp.file_id is not None:
            fid = int.from_bytes(fcp.file_id, "big")
        if fcp.ef_file_size is not None:
            size = int.from_bytes(fcp.ef_file_size, "big")
        if fcp.short_ef_id is not None:
            sfi = fcp.short_ef_id[0] >> 3 if fcp.short_ef_id else None
        life_cycle = fcp.lcsi[0]
        rule3 = rule_octets(fcp, rule, arr)
        info = fcp.proprietary_ef_info
        if info is not None:
            special = (
                info.special_file_information[0] if info.special_file_information != b"\x00" else special
            )
            if info.fill_pattern is not None:
                pattern = Pattern(info.fill_pattern[:-1], info.fill_pattern[-1:])
                source = Source.PACKAGE
            elif info.repeat_pattern is not None:
                pattern = Pattern(repeated=info.repeat_pattern)
                source = Source.PACKAGE
        if fcp.link_path:
            link = tree.resolve(fcp.link_path)
    if link is not None:
        target = tree.at(link)
        size = target.size if isinstance(target, Ef) else 0
        record_length = target.record_length if isinstance(target, Ef) else record_length
        content = b""
    else:
        is_sized = fcp is not None and fcp.ef_file_size is not None
        if needs_content and not steps and source is not Source.PACKAGE and not is_sized:
            raise Fault("FILE-REQUIRED", "the package must give its content")
        size = _size(size, structure, record_length, steps)
        if size > tree.limit - tree.charge:
            message = f"{size} octets, {max(0, tree.limit - tree.charge)} are left"
            raise Fault("MEMORY", message, status=Status.NOT_ENOUGH_MEMORY)
        content = _content(pattern or FF, size, structure, record_length, steps)
    return Ef(
        fid=fid,
        name=intern(name),
        structure=structure,
        size=size,
        record_length=record_length,
        sfi=sfi,
        rule=rule3 if rule3 is not None else _rule(arr, rule),
        content=content,
        source=Source.PACKAGE if steps else source,
        life_cycle=life_cycle,
        special=special,
        is_volatile=is_volatile or bool(special & 0x80),
        link=link,
    )


def _size(size: int | None, structure: Structure, record_length: int, steps: list[Step]) -> int:
    """efFileSize, else the template's size, else the length of the content given."""
    if size is None:
        size = _length(steps)
        if not size:
            raise Fault("FCP-FIELDS", "efFileSize is missing", status=Status.INVALID_PARAMETER)
        if record_length:
            size = -(-size // record_length) * record_length
    if record_length and size % record_length:
        raise Fault("FILE-OVERRUN", f"{size} octets are no whole number of records of {record_length}")
    return size


def _length(steps: list[Step]) -> int:
    return sum(step if isinstance(step, int) else len(step) for step in steps)


def _content(
    pattern: Pattern, size: int, structure: Structure, record_length: int, steps: list[Step]
) -> bytes:
    """Pattern first, then the steps like updates: offsets are relative to where the last step ended."""
    if structure is Structure.BER_TLV:
        if any(isinstance(step, int) for step in steps):
            raise Fault("BERTLV", "an offset makes no sense in a BER-TLV file")
        objects = b"".join(step for step in steps if isinstance(step, bytes))
        if len(objects) > size:
            raise Fault("FILE-OVERRUN", f"{len(objects)} octets in a file of {size}")
        return objects
    base = _expanded(pattern, size, record_length)
    if not steps:
        return base
    if _length(steps) > size:
        raise Fault("FILE-OVERRUN", f"{_length(steps)} octets in a file of {size}")
    if len(steps) == 1 and isinstance(steps[0], bytes):
        return steps[0] + base[len(steps[0]) :]
    out, position = bytearray(base), 0
    for step in steps:
        if isinstance(step, int):
            position += step
        else:
            out[position : position + len(step)] = step
            position += len(step)
    return bytes(out)
