"""Making files from a package's elements (§6 of the sheet): template elements and generic file management.

The tree under construction is mutable here and only here; `freeze` turns it into the value that cards use.
Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from sys import intern

from keim.ids import Iccid
from keim.saip.access import RULE_LENGTH, default_rules
from keim.saip.elements import Fcp, FileItem, FileManagement, GenericFileManagement
from keim.saip.file_element import FileField, FileSystemElement
from keim.saip.filesystem import CURRENT_ADF, MF_FID, Directory, Ef, Key, Node, Pin, Source
from keim.saip.refusals import Status
from keim.saip.templates import Pattern, Structure, TemplateFile

Origin = tuple[int, str | tuple[int, int]]
"""(element, its field, or number of the command run and of the step that made the file)."""
ARR_OF_MF = b"\x2f\x06"
ARR_OF_ADF = b"\x6f\x06"
IOT_AID_PREFIX = bytes.fromhex("A000000087")
IOT_PIN_REFERENCES = b"\x01\x0a"
IOT_UST = bytes(4) + b"\x01" + bytes(12)
IOT_ECC = bytes.fromhex("11F2FF00")
FF = Pattern(repeated=b"\xff")
_DESCRIPTORS = {
    0x01: Structure.TRANSPARENT,
    0x02: Structure.LINEAR,
    0x06: Structure.CYCLIC,
    0x38: Structure.DF,
    0x39: Structure.BER_TLV,
}


class Fault(Exception):
    """An element breaks a rule; the installation decides what follows."""

    def __init__(
        self, rule: str, message: str, *, status: Status = Status.BAD_VALUES, path: str = ""
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.status = status
        self.path = path


class Building:
    """A directory under construction."""

    def __init__(self, fid: int, name: str, structure: Structure, key: Key, rule: bytes, pins: bytes) -> None:
        self.fid = fid
        self.name = name
        self.structure = structure
        self.key = key
        self.rule = rule
        self.pin_references = pins
        self.aid: bytes | None = None
        self.life_cycle = 0x05
        self.children: dict[int, Ef | Building] = {}
        self.pins: dict[int, Pin] = {}
        self.pins_of: Key | None = None
        self.link: Key | None = None
        self.made_by = 0

    def freeze(self) -> Directory:
        children: tuple[Node, ...] = tuple(
            child.freeze() if isinstance(child, Building) else child for child in self.children.values()
        )
        return Directory(
            fid=self.fid,
            name=self.name,
            structure=self.structure,
            rule=self.rule,
            pin_references=self.pin_references,
            children=children,
            aid=self.aid,
            life_cycle=self.life_cycle,
            pins=tuple(self.pins.values()),
            pins_of=self.pins_of,
            link=self.link,
        )


class Tree:
    """The file tree under construction and where the next element applies."""

    def __init__(self, iccid: Iccid | None, pix: bytes | None) -> None:
        self.iccid = iccid
        self.iot_aid = IOT_AID_PREFIX + pix if pix is not None else None
        self.mf: Building | None = None
        self.adfs: dict[int, Building] = {}
        self.context: Building | None = None
        """The directory whose PINs the next PE-PINCodes defines."""
        self.naa: Building | None = None
        self.last: dict[str, Building] = {}
        """The latest ADF of each kind (usim, isim, csim)."""
        self.index = 0
        self.origins: dict[Key, Origin] | None = None
        """Where each file was made, kept for editors only."""

    def note(self, key: Key, where: str | tuple[int, int]) -> None:
        if self.origins is not None:
            self.origins[key] = (self.index, where)

    def roots(self) -> list[Building]:
        return ([self.mf] if self.mf else []) + list(self.adfs.values())

    def at(self, path: tuple[int, ...]) -> Building | Ef | None:
        """What a path from the MF (empty) or from a temporary ADF identifier leads to."""
        if path and path[0] in self.adfs:
            found: Building | Ef | None = self.adfs[path[0]]
            path = path[1:]
        else:
            found = self.mf
            if path and path[0] == MF_FID:
                path = path[1:]
        for fid in path:
            found = found.children.get(fid) if isinstance(found, Building) else None
        return found

    def directory(self, octets: bytes, what: str) -> Building:
        if len(octets) % 2:
            raise Fault("SIZE", f"{what} of an odd number of octets", status=Status.INVALID_PARAMETER)
        found = self.at(fids(octets))
        if not isinstance(found, Building):
            raise Fault("FCP-FID", f"{what} {octets.hex().upper() or 'MF'} leads to no directory")
        return found

    def resolve(self, octets: bytes) -> Key:
        found = self.at(fids(octets))
        if found is None:
            raise Fault("FCP-FID", f"link target {octets.hex().upper()} does not exist")
        path = fids(octets)
        return path if path and path[0] in self.adfs else (MF_FID, *(f for f in path if f != MF_FID))


def fids(octets: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2))


# --- template elements ---------------------------------------------------------------------------------

_PARENTS = {
    "opt-usim": "usim",
    "phonebook": "usim",
    "gsm-access": "usim",
    "df-5gs": "usim",
    "df-saip": "usim",
    "df-snpn": "usim",
    "df-5gprose": "usim",
    "opt-isim": "isim",
    "opt-csim": "csim",
    "opt-iot": "usim",
}


def make_template_files(
    tree: Tree, element: FileSystemElement, name: str, fail: Callable[[Fault], None]
) -> None:
    """All files of a file-system element; `fail` is told of each fault of a single file and may raise it."""
    known = element.template
    if known is None:
        raise Fault(
            "TPL-UNKNOWN",
            f"template {element.template_id} is not known",
            status=Status.TEMPLATE_NOT_SUPPORTED,
        )
    if known.element != name:
        raise Fault(
            "TPL-PE", f"template {element.template_id} belongs to {known.element}", status=Status.BAD_VALUES
        )
    given = {field.tag: field for field in element.fields}
    for field in element.fields:
        if field.items is None:
            raise Fault("TPL-UNKNOWN", f"field {field.tag:X} is not known", status=Status.INVALID_PARAMETER)
    maker = _TemplateMaker(tree, name)
    for row in known.files:
        chosen = given.get(row.tag)
        if chosen is None and (not known.is_by_default or row.only_when_listed):
            continue
        if chosen is not None and chosen.is_switched_off and known.is_by_default:
            if row.structure.is_directory:
                raise Fault("DNC", f"{row.field} cannot be left out", path=row.field)
            continue
        try:
            maker.make(row, chosen)
        except Fault as fault:
            fault.path = fault.path or row.field
            fail(fault)
        except IndexError:
            fail(Fault("SIZE", "a value is too short", status=Status.INVALID_PARAMETER, path=row.field))


class _TemplateMaker:
    """One file-system element at work."""

    def __init__(self, tree: Tree, element: str) -> None:
        self.tree = tree
        self.element = element
        self.moved: dict[tuple[int, ...], Building] = {}
        """Directories of the template that the package gave another identifier, by their path in the
        template.
        """
        if element in _PARENTS:
            base: Building | None = tree.last.get(_PARENTS[element])
            if base is None:
                raise Fault("NAA-ORDER", f"{element} stands before its ADF")
        elif element == "eap":
            base = tree.naa
            if base is None:
                raise Fault("NAA-ORDER", "eap stands before its ADF")
        else:
            base = tree.mf
        self.base = base
        if element in _PARENTS and base is not None:
            tree.naa = tree.context = base

    def make(self, row: TemplateFile, field: FileField | None) -> None:
        if row.structure is Structure.MF:
            self._make_mf(field)
        elif row.structure is Structure.ADF:
            self._make_adf(row, field)
        elif row.structure is Structure.DF:
            self._make_df(row, field)
        else:
            parent = self._parent(row)
            ef = self._ef(row, field, parent)
            if ef.fid in parent.children:
                raise Fault("FCP-FID", f"{ef.fid:04X} exists already in {parent.name}")
            parent.children[ef.fid] = ef
            self.tree.note((*parent.key, ef.fid), row.field)

    def _parent(self, row: TemplateFile) -> Building:
        above = row.path[:-1]
        if above in self.moved:
            return self.moved[above]
        found: Building | Ef | None = self.base
        for fid in above:
            found = found.children.get(fid) if isinstance(found, Building) else None
        if not isinstance(found, Building):
            raise Fault("NAA-ORDER", "its directory does not exist")
        return found

    def _make_mf(self, field: FileField | None) -> None:
        if self.tree.mf is not None:
            raise Fault("MF-FIRST", "there is an MF already")
        fcp = _fcp_of(field)
        pins = fcp.pin_status_template
        if pins is None and self.element == "iot":
            pins = IOT_PIN_REFERENCES
        if pins is None:
            raise Fault("FCP-FIELDS", "an MF needs pinStatusTemplateDO", status=Status.INVALID_PARAMETER)
        mf = Building(MF_FID, "mf", Structure.MF, (MF_FID,), rule_octets(fcp, 14, ARR_OF_MF), pins)
        mf.life_cycle = fcp.lcsi[0]
        self._made(mf)
        self.tree.mf = self.base = mf

    def _make_adf(self, row: TemplateFile, field: FileField | None) -> None:
        if self.tree.mf is None:
            raise Fault("MF-FIRST", "there is no MF yet")
        fcp = _fcp_of(field)
        aid = fcp.df_name
        pins = fcp.pin_status_template
        fid = int.from_bytes(fcp.file_id, "big") if fcp.file_id else None
        if self.element == "iot":
            aid = aid or self.tree.iot_aid
            pins = pins if pins is not None else IOT_PIN_REFERENCES
            fid = fid or CURRENT_ADF
        if aid is None or pins is None or fid is None:
            missing = [
                n for n, v in (("dfName", aid), ("pinStatusTemplateDO", pins), ("fileID", fid)) if v is None
            ]
            raise Fault("FCP-FIELDS", f"an ADF needs {', '.join(missing)}", status=Status.INVALID_PARAMETER)
        if fid in self.tree.adfs or fid in self.tree.mf.children:
            raise Fault("FCP-FID", f"{fid:04X} is taken")
        adf = Building(fid, row.field, Structure.ADF, (fid,), rule_octets(fcp, 14, ARR_OF_MF), pins)
        adf.aid, adf.life_cycle = aid, fcp.lcsi[0]
        self._made(adf)
        self.tree.adfs[fid] = self.base = self.tree.naa = adf
        self.tree.last["usim" if self.element == "iot" else self.element] = adf

    def _make_df(self, row: TemplateFile, field: FileField | None) -> None:
        fcp = _fcp_of(field)
        if row.path:
            parent = self._parent(row)
            fid = row.path[-1]
        elif self.base is not None:
            parent, fid = self.base, 0
        else:
            raise Fault("MF-FIRST", "there is no MF yet")
        fid = int.from_bytes(fcp.file_id, "big") if fcp.file_id else fid
        if not fid:
            raise Fault("FCP-FIELDS", "this DF needs a fileID", status=Status.INVALID_PARAMETER)
        arr = ARR_OF_MF if parent is self.tree.mf else ARR_OF_ADF
        pins = fcp.pin_status_template
        if pins is None:
            pins = parent.pin_references
        df = Building(fid, row.field, Structure.DF, (*parent.key, fid), rule_octets(fcp, 14, arr), pins)
        df.life_cycle = fcp.lcsi[0]
        if fcp.link_path:
            df.link = self.tree.resolve(fcp.link_path)
        if fid in parent.children:
            raise Fault("FCP-FID", f"{fid:04X} exists already in {parent.name}")
        is_first = not self.moved
        parent.children[fid] = self.moved[row.path] = df
        df.made_by = self.tree.index
        if is_first and parent is self.tree.mf:
            self.tree.context = df

    def _made(self, directory: Building) -> None:
        directory.made_by = self.tree.index
        self.tree.context = directory

    def _ef(self, row: TemplateFile, field: FileField | None, parent: Building) -> Ef:
        arr = ARR_OF_MF if parent is self.tree.mf else ARR_OF_ADF
        if row.computed is not None:
            size, length, content, source = self._computed(row)
        else:
            size, length, content, source = row.size, row.record_length, None, Source.TEMPLATE
        items = (field.items or ()) if field is not None else ()
        if not items and content is None:
            if row.needs_content:
                raise Fault("FILE-REQUIRED", "the package must give its content")
            if row.structure is Structure.UNKNOWN or size is None or not row.path:
                raise Fault(
                    "FCP-FIELDS",
                    "the package must give its size",
                    status=_UNKNOWN_STATUS.get(self.element, Status.INVALID_PARAMETER),
                )
            return _template_ef(row, arr)
        fcp = next((item.file_descriptor for item in items if item.file_descriptor is not None), None)
        structure, length = descriptor_of(fcp, row.structure, length)
        if structure is Structure.UNKNOWN or (not row.path and (fcp is None or fcp.file_id is None)):
            raise Fault(
                "FCP-FIELDS",
                "the contents of this template are not known: the package must give "
                "descriptor, identifier and size",
                status=Status.TEMPLATE_NOT_SUPPORTED,
            )
        default = row.default
        is_changed = fcp is not None and length != row.record_length
        if content is not None:
            default = Pattern(start=content)
        elif size is not None and is_changed and length and row.records:
            size = row.records * length
        return make_ef(
            self.tree,
            fid=row.path[-1] if row.path else 0,
            name=row.field,
            structure=structure,
            record_length=length or 0,
            size=size,
            sfi=row.sfi,
            rule=row.access_rule or 0,
            arr=arr,
            default=default,
            default_source=source,
            is_volatile=row.is_volatile,
            needs_content=row.needs_content,
            fcp=fcp,
            steps=[step for item in items if (step := _file_step(item)) is not None],
        )

    def _computed(self, row: TemplateFile) -> tuple[int, int | None, bytes, Source]:
        """Contents that the IoT template takes from the header or leaves open (§12.3: our assumptions)."""
        if row.computed == "iccid":
            if self.tree.iccid is None:
                raise Fault("SIZE", "the header has no ICCID", status=Status.INVALID_PARAMETER)
            return 10, None, self.tree.iccid.octets, Source.HEADER
        if row.computed == "dir":
            aid = self.tree.iot_aid or b""
            record = b"\x61" + bytes((2 + len(aid),)) + b"\x4f" + bytes((len(aid),)) + aid
            return len(record), len(record), record, Source.HEADER
        if row.computed == "arr":
            return len(default_rules()), RULE_LENGTH, default_rules(), Source.ASSUMED
        if row.computed == "ust":
            return len(IOT_UST), None, IOT_UST, Source.ASSUMED
        return len(IOT_ECC), len(IOT_ECC), IOT_ECC, Source.ASSUMED


_UNKNOWN_STATUS = {"csim": Status.TEMPLATE_NOT_SUPPORTED, "opt-csim": Status.TEMPLATE_NOT_SUPPORTED}
_NO_FCP = Fcp()


def _fcp_of(field: FileField | None) -> Fcp:
    return (field.fcp if field is not None else None) or _NO_FCP


@cache
def _template_ef(row: TemplateFile, arr: bytes) -> Ef:
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


@lru_cache(maxsize=4096)
def _expanded(pattern: Pattern, size: int, record_length: int) -> bytes:
    """A content from a pattern, which begins anew at every record."""
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


# --- one elementary file -------------------------------------------------------------------------------

Step = int | bytes
"""An offset to skip or octets to write."""


def _file_step(item: FileItem) -> Step | None:
    return item.fill_file_content if item.fill_file_content is not None else item.fill_file_offset


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


# --- generic file management ---------------------------------------------------------------------------


def manage_files(tree: Tree, element: GenericFileManagement, fail: Callable[[Fault], None]) -> None:
    for number, run in enumerate(element.commands):
        try:
            _run(tree, run, number)
        except Fault as fault:
            fault.path = fault.path or f"command {number}"
            fail(fault)
        except IndexError:
            fail(
                Fault(
                    "SIZE", "a value is too short", status=Status.INVALID_PARAMETER, path=f"command {number}"
                )
            )


def _run(tree: Tree, run: tuple[FileManagement, ...], number: int) -> None:
    """One sequence of commands: it starts at the MF and moves with filePath and createFCP."""
    here: Building | None = tree.mf
    position = 0
    while position < len(run):
        command = run[position]
        position += 1
        if command.file_path is not None:
            if len(command.file_path) > 8:
                raise Fault("SIZE", "filePath of more than 8 octets", status=Status.INVALID_PARAMETER)
            here = tree.directory(command.file_path, "filePath")
            tree.context = here
        elif command.create_fcp is not None:
            steps: list[Step] = []
            made_at = position - 1
            while position < len(run) and (step := _management_step(run[position])) is not None:
                steps.append(step)
                position += 1
            parent = here
            here = _create(tree, here, command.create_fcp, steps)
            if parent is not None and parent is here and command.create_fcp.file_id is not None:
                tree.note((*parent.key, int.from_bytes(command.create_fcp.file_id, "big")), (number, made_at))
        elif command.unknown is not None:
            raise Fault("TPL-UNKNOWN", "unknown file management command", status=Status.INVALID_PARAMETER)
        else:
            message = "content without a file that was made before it"
            raise Fault("FCP-FIELDS", message, status=Status.INVALID_PARAMETER)


def _management_step(command: FileManagement) -> Step | None:
    if command.fill_file_content is not None:
        return command.fill_file_content
    return command.fill_file_offset


def _create(tree: Tree, here: Building | None, fcp: Fcp, steps: list[Step]) -> Building | None:
    for field, value in (("fileDescriptor", fcp.file_descriptor), ("fileID", fcp.file_id)):
        if value is None:
            raise Fault("FCP-FIELDS", f"createFCP needs {field}", status=Status.INVALID_PARAMETER)
    assert fcp.file_id is not None
    fid = int.from_bytes(fcp.file_id, "big")
    structure, record_length = descriptor_of(fcp, Structure.UNKNOWN, None)
    name = f"{fid:04X}"
    if structure is Structure.DF and (fid == MF_FID or fcp.df_name is not None):
        return _create_root(tree, fcp, fid, name)
    if here is None:
        raise Fault("MF-FIRST", "there is no MF yet")
    if fid in here.children:
        raise Fault("FCP-FID", f"{name} exists already in {here.name}", path=name)
    arr = ARR_OF_MF if here is tree.mf else ARR_OF_ADF
    if structure is Structure.DF:
        pins = fcp.pin_status_template if fcp.pin_status_template is not None else here.pin_references
        made = Building(fid, name, structure, (*here.key, fid), rule_octets(fcp, 0, arr), pins)
        made.life_cycle, made.made_by = fcp.lcsi[0], tree.index
        if fcp.link_path:
            made.link = tree.resolve(fcp.link_path)
        here.children[fid] = made
        tree.context = made
        return made
    try:
        here.children[fid] = make_ef(
            tree,
            fid=fid,
            name=name,
            structure=structure,
            record_length=record_length or 0,
            size=None,
            # without 88 the five low bits of the identifier are the SFI (TS 102 222)
            sfi=fid & 0x1F if 0 < fid & 0x1F < 0x1F else None,
            rule=0,
            arr=arr,
            default=None,
            default_source=Source.PACKAGE,
            is_volatile=False,
            needs_content=False,
            fcp=fcp,
            steps=steps,
        )
    except Fault as fault:
        fault.path = fault.path or name
        raise
    return here


def _create_root(tree: Tree, fcp: Fcp, fid: int, name: str) -> Building:
    pins = fcp.pin_status_template
    if pins is None:
        raise Fault(
            "FCP-FIELDS", "pinStatusTemplateDO is missing", status=Status.INVALID_PARAMETER, path=name
        )
    is_mf = fid == MF_FID
    if (is_mf and tree.mf is not None) or fid in tree.adfs:
        raise Fault("FCP-FID", f"{name} exists already", path=name)
    structure = Structure.MF if is_mf else Structure.ADF
    made = Building(fid, "mf" if is_mf else "adf", structure, (fid,), rule_octets(fcp, 0, ARR_OF_MF), pins)
    made.life_cycle, made.made_by, made.aid = fcp.lcsi[0], tree.index, fcp.df_name
    if is_mf:
        tree.mf = made
    else:
        if tree.mf is None:
            raise Fault("MF-FIRST", "there is no MF yet", path=name)
        tree.adfs[fid] = tree.naa = made
    tree.context = made
    return made
