"""Generic file management: runs of commands that select, create and fill files (§6.4).

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Callable

from keim.saip.elements import Fcp, FileManagement, GenericFileManagement
from keim.saip.filesystem import MF_FID, Source
from keim.saip.installing.ef import ARR_OF_ADF, ARR_OF_MF, Step, descriptor_of, make_ef, rule_octets
from keim.saip.installing.tree import Building, Fault, Tree
from keim.saip.refusals import Status
from keim.saip.templates import Structure


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
        made = Building(fid, name, structure, key=(*here.key, fid), rule=rule_octets(fcp, 0, arr), pins=pins)
        made.life_cycle, made.made_by = fcp.lcsi[0], tree.index
        if fcp.link_path:
            made.link = tree.resolve(fcp.link_path)
        tree.add(here, made)
        tree.context = made
        return made
    try:
        made_file = make_ef(
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
        tree.add(here, made_file)
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
    made = Building(
        fid, "mf" if is_mf else "adf", structure, key=(fid,), rule=rule_octets(fcp, 0, ARR_OF_MF), pins=pins
    )
    made.life_cycle, made.made_by, made.aid = fcp.lcsi[0], tree.index, fcp.df_name
    if is_mf:
        tree.mf = made
    else:
        if tree.mf is None:
            raise Fault("MF-FIRST", "there is no MF yet", path=name)
        tree.adfs[fid] = tree.naa = made
    tree.charge += 32
    tree.context = made
    return made
