"""The file tree of a profile under construction: mutable here and only here.

`freeze` turns it into the value that cards use. Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from keim.ids import Iccid
from keim.saip.filesystem import MF_FID, Directory, Ef, Key, Node, Pin
from keim.saip.refusals import Status
from keim.saip.templates import Structure

Origin = tuple[int, str | tuple[int, int]]
"""(element, its field, or number of the command run and of the step that made the file)."""
MOST_MEMORY = 4 * 1024 * 1024
"""No profile that we ever saw needs a hundredth of it."""
IOT_AID_PREFIX = bytes.fromhex("A000000087")


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

    def __init__(
        self, fid: int, name: str, structure: Structure, *, key: Key, rule: bytes, pins: bytes
    ) -> None:
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

    def __init__(self, iccid: Iccid | None, pix: bytes | None, limit: int = MOST_MEMORY) -> None:
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
        self.limit = limit
        """Octets of memory that may be used: a hostile efFileSize must not fill ours."""
        self.charge = 0
        """Octets of memory for files and directories so far, counted as `FileSystem.charge` does."""
        self.origins: dict[Key, Origin] | None = None
        """Where each file was made, kept for editors only."""

    def add(self, parent: Building, child: Ef | Building) -> None:
        """Puts a file or directory into its parent."""
        parent.children[child.fid] = child
        self.charge += 32 if isinstance(child, Building) or child.link is not None else 32 + child.size

    def note(self, key: Key, where: str | tuple[int, int]) -> None:
        if self.origins is not None:
            self.origins[key] = (self.index, where)

    def directories(self) -> Iterator[Building]:
        """All directories of the tree."""
        waiting = self.roots()
        while waiting:
            directory = waiting.pop()
            yield directory
            waiting += [child for child in directory.children.values() if isinstance(child, Building)]

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
