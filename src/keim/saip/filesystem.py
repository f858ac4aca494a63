"""What an installed profile consists of: a file tree, applications, keys and PINs, as one immutable
value.

A card keeps its changes beside this value, never in it. Files that are as their template says are one
object shared by all profiles, and equal contents are one string of octets, so that a card with two
profiles stays small. Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from keim.ids import Iccid
from keim.saip.entries import (
    ApplicationEntry,
    Authentication,
    CdmaCredentials,
    LoadPackage,
    Pin,
    Puk,
    RemoteFileManagement,
    SdKey,
    SecurityDomainEntry,
)
from keim.saip.refusals import NoSuchFile
from keim.saip.templates import Structure

__all__ = [
    "CURRENT_ADF",
    "MF_FID",
    "ApplicationEntry",
    "Authentication",
    "CdmaCredentials",
    "Directory",
    "Ef",
    "FileSystem",
    "Key",
    "LoadPackage",
    "Node",
    "Pin",
    "Puk",
    "RemoteFileManagement",
    "SdKey",
    "SecurityDomainEntry",
    "Source",
]
Key = tuple[int, ...]
"""Where a node stands: file identifiers from 3F00, or from an ADF's own identifier (7FD0 ...), downwards."""
MF_FID = 0x3F00
CURRENT_ADF = 0x7FFF


class Source(Enum):
    """Where a file's content comes from; an ASSUMED one is our own choice and not comparable with a
    card's.
    """

    PACKAGE = "package"
    HEADER = "header"
    TEMPLATE = "template"
    ASSUMED = "assumed"


class Ef(msgspec.Struct, frozen=True, gc=False):
    """An elementary file."""

    fid: int
    name: str
    """The field's name in its template (`ef-imsi`), or `6F44` for a file of generic file management."""
    structure: Structure
    size: int
    record_length: int
    """0 for a file without records."""
    sfi: int | None
    rule: bytes
    """As 8B in the FCP shows it: identifier of the access-rule file and record number."""
    content: bytes
    """All octets of the file; for BER-TLV the objects one after the other."""
    source: Source
    life_cycle: int = 0x05
    special: int = 0x00
    """Special file information: 80 often updated, 40 readable and updatable when deactivated."""
    is_volatile: bool = False
    link: Key | None = None
    """The file that this one is another name of; it has no content of its own then."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Ef:
        """A value: whoever copies a tree of them keeps sharing them."""
        return self

    @property
    def records(self) -> int:
        return self.size // self.record_length if self.record_length else 0

    @property
    def is_active(self) -> bool:
        return self.life_cycle == 0x05

    def record(self, number: int) -> bytes:
        """Record `number`, counted from 1."""
        if not 1 <= number <= self.records:
            raise IndexError(f"record {number} of {self.records}")
        return self.content[(number - 1) * self.record_length : number * self.record_length]

    @property
    def descriptor(self) -> bytes:
        """Octets of 82 in the FCP, without the number of records."""
        first = {"transparent": 0x41, "linear fixed": 0x42, "cyclic": 0x46, "BER-TLV": 0x79}[
            self.structure.value
        ]
        length = self.record_length.to_bytes(2, "big") if self.record_length else b""
        return bytes((first, 0x21)) + length


class Directory(msgspec.Struct, frozen=True, gc=False):
    """The MF, a DF or an ADF."""

    fid: int
    """An ADF's is its temporary identifier: over the interface the current ADF is 7FFF."""
    name: str
    structure: Structure
    rule: bytes
    pin_references: bytes
    """The key references of its PIN status template, in order."""
    children: tuple[Node, ...]
    aid: bytes | None = None
    life_cycle: int = 0x05
    pins: tuple[Pin, ...] = ()
    """The PINs of its own context; see `FileSystem.pin` for the ones that it inherits."""
    pins_of: Key | None = None
    """The directory whose PIN context this one shares."""
    link: Key | None = None
    source: Source = Source.PACKAGE

    def child(self, fid: int) -> Node | None:
        return next((node for node in self.children if node.fid == fid), None)


Node = Ef | Directory


class FileSystem(msgspec.Struct, frozen=True, gc=False):
    """A whole profile as installed."""

    iccid: Iccid
    """Of the header; EF.ICCID may differ, which lint reports."""
    profile_type: str
    mf: Directory
    adfs: tuple[Directory, ...]
    puks: tuple[Puk, ...]
    authentications: tuple[Authentication, ...]
    security_domains: tuple[SecurityDomainEntry, ...]
    remote: tuple[RemoteFileManagement, ...]
    applications: tuple[ApplicationEntry, ...]
    load_packages: tuple[LoadPackage, ...]
    cdma: tuple[CdmaCredentials, ...]
    is_iot_minimal: bool

    @property
    def roots(self) -> tuple[Directory, ...]:
        return (self.mf, *self.adfs)

    def walk(self) -> Iterator[tuple[Key, Node]]:
        """Every node with its key, each directory before what it holds."""
        for root in self.roots:
            yield from _walk((root.fid,), root)

    def node(self, key: Key) -> Node | None:
        """The node of a key; links are not followed."""
        found: Node | None = next((root for root in self.roots if root.fid == key[0]), None) if key else None
        for fid in key[1:]:
            if not isinstance(found, Directory):
                return None
            found = found.child(fid)
        return found

    def target(self, key: Key) -> Key:
        """The key of the file that holds the content: `key` itself, or what its link leads to."""
        for _ in range(4):
            node = self.node(key)
            if node is None or node.link is None:
                return key
            key = node.link
        return key

    def adf(self, aid: bytes) -> Directory | None:
        """The first ADF whose AID begins with `aid`."""
        return next((adf for adf in self.adfs if adf.aid is not None and adf.aid.startswith(aid)), None)

    def path(self, key: Key) -> str:
        """The key as people write it: MF/7F10/6F3A, ADF.USIM/6F07."""
        return "/".join((self._root_name(key[0]), *(f"{fid:04X}" for fid in key[1:])))

    def _root_name(self, fid: int) -> str:
        if fid == MF_FID:
            return "MF"
        names = [adf.name.partition("-")[2].upper() or "ADF" for adf in self.adfs]
        index = next(i for i, adf in enumerate(self.adfs) if adf.fid == fid)
        earlier = names[:index].count(names[index])
        return f"ADF.{names[index]}" + (str(earlier + 1) if earlier else "")

    def key_of(self, path: str) -> Key:
        """The key of a path such as MF/2FE2, ADF.USIM/EF.IMSI or ADF.USIM/5FC0/4F07; `NoSuchFile` without
        one.
        """
        first, *rest = path.strip("/").split("/")
        for root in self.roots:
            if self._root_name(root.fid).upper() == first.upper():
                key: Key = (root.fid,)
                for part in rest:
                    child = _child(self.node(key), part)
                    if child is None:
                        raise NoSuchFile(f"the profile has no {path} ({part} is missing)")
                    key = (*key, child.fid)
                return key
        raise NoSuchFile(
            f"the profile has no {first}: it has {', '.join(self._root_name(r.fid) for r in self.roots)}"
        )

    def file(self, path: str) -> Ef:
        """The file of a path, links followed; `NoSuchFile` when there is none."""
        found = self.node(self.target(self.key_of(path)))
        if not isinstance(found, Ef):
            raise NoSuchFile(f"{path} is a directory")
        return found

    def access_rule(self, key: Key) -> bytes:
        """The record of the access-rule file that governs a node; empty when there is none."""
        node = self.node(key)
        if node is None or len(node.rule) != 3:
            return b""
        fid, number = int.from_bytes(node.rule[:2], "big"), node.rule[2]
        for depth in range(len(key), 0, -1):
            holder = self.node((*key[:depth], fid))
            if isinstance(holder, Ef) and holder.record_length:
                return holder.record(number) if 1 <= number <= holder.records else b""
        holder = self.node((MF_FID, fid))
        if isinstance(holder, Ef) and 1 <= number <= holder.records:
            return holder.record(number)
        return b""

    def pin_context(self, key: Key, reference: int) -> tuple[Key, Pin] | None:
        """The PIN that a key reference means in a directory, and the directory that holds it.

        Global references live in the MF; local ones in the nearest directory upwards that has them.
        """
        if not reference & 0x80:
            return self._pin_at((self.mf.fid,), reference)
        for depth in range(len(key), 0, -1):
            found = self._pin_at(key[:depth], reference)
            if found is not None:
                return found
        return self._pin_at((self.mf.fid,), reference)

    def _pin_at(self, key: Key, reference: int) -> tuple[Key, Pin] | None:
        for _ in range(4):
            node = self.node(key)
            if not isinstance(node, Directory):
                return None
            if node.pins_of is None:
                pin = next((pin for pin in node.pins if pin.reference == reference), None)
                return None if pin is None else (key, pin)
            key = node.pins_of
        return None

    def puk(self, reference: int) -> Puk | None:
        return next((puk for puk in self.puks if puk.reference == reference), None)

    def authentication(self, aid: bytes) -> Authentication | None:
        """The credentials of an ADF, those of its mapping source when it shares them."""
        found = next((entry for entry in self.authentications if entry.aid == aid), None)
        if found is not None and found.shared_with is not None:
            return next((e for e in self.authentications if e.aid == found.shared_with), None)
        return found

    @property
    def charge(self) -> int:
        """Octets of the card's memory (euicc sheet §13, without ISD-P and metadata)."""
        total = 0
        for _, node in self.walk():
            if isinstance(node, Directory):
                total += 32 + 64 * len(node.pins)
            else:
                total += 32 + (0 if node.link else node.size)
        total += 64 * (len(self.puks) + len(self.authentications) + len(self.applications) + len(self.remote))
        total += sum(64 + 64 * len(domain.keys) for domain in self.security_domains)
        return total + sum(package.size for package in self.load_packages)


def _walk(key: Key, node: Node) -> Iterator[tuple[Key, Node]]:
    yield key, node
    if isinstance(node, Directory):
        for child in node.children:
            yield from _walk((*key, child.fid), child)


def _child(node: Node | None, part: str) -> Node | None:
    """By file identifier or by name: 6F07, EF.IMSI, ef-imsi."""
    if not isinstance(node, Directory):
        return None
    wanted = part.upper().replace("EF.", "EF-").replace("DF.", "DF-")
    for child in node.children:
        if f"{child.fid:04X}" == wanted or child.name.upper() == wanted:
            return child
    return None
