"""Template elements: every file of the template, with the differences that the package gives (§6.1).

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Callable

from keim.saip.access import RULE_LENGTH, default_rules
from keim.saip.elements import Fcp, FileItem
from keim.saip.file_element import FileField, FileSystemElement
from keim.saip.filesystem import CURRENT_ADF, MF_FID, Ef, Source
from keim.saip.installing.ef import (
    ARR_OF_ADF,
    ARR_OF_MF,
    Step,
    descriptor_of,
    make_ef,
    rule_octets,
    template_ef,
)
from keim.saip.installing.tree import Building, Fault, Tree
from keim.saip.refusals import Status
from keim.saip.templates import Pattern, Structure, TemplateFile

IOT_PIN_REFERENCES = b"\x01\x0a"
IOT_UST = bytes(4) + b"\x01" + bytes(12)
IOT_ECC = bytes.fromhex("11F2FF00")
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
            self.tree.add(parent, ef)
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
        mf = Building(
            MF_FID, "mf", Structure.MF, key=(MF_FID,), rule=rule_octets(fcp, 14, ARR_OF_MF), pins=pins
        )
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
        adf = Building(
            fid, row.field, Structure.ADF, key=(fid,), rule=rule_octets(fcp, 14, ARR_OF_MF), pins=pins
        )
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
        df = Building(
            fid, row.field, Structure.DF, key=(*parent.key, fid), rule=rule_octets(fcp, 14, arr), pins=pins
        )
        df.life_cycle = fcp.lcsi[0]
        if fcp.link_path:
            df.link = self.tree.resolve(fcp.link_path)
        if fid in parent.children:
            raise Fault("FCP-FID", f"{fid:04X} exists already in {parent.name}")
        is_first = not self.moved
        self.tree.add(parent, df)
        self.moved[row.path] = df
        df.made_by = self.tree.index
        if is_first and parent is self.tree.mf:
            self.tree.context = df

    def _made(self, directory: Building) -> None:
        self.tree.charge += 32
        directory.made_by = self.tree.index
        self.tree.context = directory

    def _ef(self, row: TemplateFile, field: FileField | None, parent: Building) -> Ef:
        arr = ARR_OF_MF if parent is self.tree.mf else ARR_OF_ADF
        size, length, content, source = row.size, row.record_length, None, Source.TEMPLATE
        if row.computed is not None:
            size, length, content, source = self._computed(row)
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
            return template_ef(row, arr)
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


def _file_step(item: FileItem) -> Step | None:
    return item.fill_file_content if item.fill_file_content is not None else item.fill_file_offset
