"""Comparing: two packages at file level, and a card's scan with a package (§14 of the sheet).

Must never import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import msgspec

from keim.saip.filesystem import Directory, Ef, FileSystem, Source
from keim.saip.installation import instantiate
from keim.saip.package import Package
from keim.saip.platform import ANY_CARD
from keim.saip.scan import Scan, ScannedNode, scan_of


class Verdict(Enum):
    EQUAL = "equal"
    DIFFERS = "differs"
    MISSING = "missing"
    EXTRA = "extra"
    NOT_READABLE = "not readable"
    NOT_COMPARABLE = "not comparable"
    """The package leaves the content to a default that is not public."""
    VOLATILE = "volatile"
    """Networks and telephones change it all the time."""


class Difference(msgspec.Struct, frozen=True):
    item: str
    """A path, or `aid ...`, `sd ...`."""
    verdict: Verdict
    expected: str = ""
    actual: str = ""
    what: str = ""
    """The attribute that differs: content, size, structure ..."""


class Comparison(msgspec.Struct, frozen=True):
    items: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        """No difference that means something: volatile, unreadable and undefined contents do not count."""
        return not any(i.verdict in (Verdict.DIFFERS, Verdict.MISSING, Verdict.EXTRA) for i in self.items)

    def counts(self) -> dict[Verdict, int]:
        return {verdict: n for verdict in Verdict if (n := sum(i.verdict is verdict for i in self.items))}


_VOLATILE_NAMES = frozenset(
    {"ef-fplmn", "ef-sms", "ef-smss", "ef-acm", "ef-ici", "ef-oci", "ef-ict", "ef-oct"}
)


def compare(scan: Scan | FileSystem, package: Package | FileSystem) -> Comparison:
    """Each file, application and security domain of the package against what a card has."""
    expected = instantiate(package, ANY_CARD) if isinstance(package, Package) else package
    actual = scan if isinstance(scan, Scan) else scan_of(scan)
    items = list(_files(actual, expected))
    items += _applications(actual, expected)
    items += _domains(actual, expected)
    return Comparison(tuple(items))


def _files(scan: Scan, fs: FileSystem) -> Iterator[Difference]:
    seen = set()
    for key, node in fs.walk():
        path = fs.path(key)
        seen.add(path)
        found = scan.nodes.get(path)
        if found is None:
            yield Difference(path, Verdict.MISSING, expected=node.structure.value)
        elif isinstance(node, Directory):
            aid = node.aid.hex().upper() if node.aid else ""
            if found.kind != node.structure.value or (found.aid and aid and found.aid.hex().upper() != aid):
                yield Difference(path, Verdict.DIFFERS, aid or node.structure.value, found.kind, "directory")
            else:
                yield Difference(path, Verdict.EQUAL)
        else:
            target = fs.node(fs.target(key))
            yield _file(path, node, target if isinstance(target, Ef) else node, found)
    for path, found in scan.nodes.items():
        if path not in seen:
            yield Difference(path, Verdict.EXTRA, actual=found.kind)


def _file(path: str, ef: Ef, target: Ef, found: ScannedNode) -> Difference:
    for what, wanted, has in (
        ("structure", target.structure.value, found.kind),
        ("size", target.size, found.size),
        ("record length", target.record_length, found.record_length),
        ("SFI", ef.sfi, found.sfi),
        ("life cycle", ef.life_cycle, found.life_cycle),
    ):
        if has is not None and wanted != has and target.source is not Source.ASSUMED:
            if what == "SFI" and wanted is None and not has:
                continue
            return Difference(path, Verdict.DIFFERS, str(wanted), str(has), what)
    if target.source is Source.ASSUMED:
        return Difference(path, Verdict.NOT_COMPARABLE)
    if found.content is None:
        return Difference(path, Verdict.NOT_READABLE)
    if found.content == target.content:
        return Difference(path, Verdict.EQUAL)
    shown = (target.content.hex().upper(), found.content.hex().upper())
    if target.is_volatile or ef.is_volatile or ef.name in _VOLATILE_NAMES:
        return Difference(path, Verdict.VOLATILE, *shown, "content")
    return Difference(path, Verdict.DIFFERS, *shown, "content")


def _applications(scan: Scan, fs: FileSystem) -> Iterator[Difference]:
    if scan.applications is None:
        return
    wanted = {entry.aid for entry in fs.applications}
    for aid in sorted(wanted | scan.applications):
        name = f"aid {aid.hex().upper()}"
        if aid not in scan.applications:
            yield Difference(name, Verdict.MISSING)
        else:
            yield Difference(name, Verdict.EQUAL if aid in wanted else Verdict.EXTRA)


def _domains(scan: Scan, fs: FileSystem) -> Iterator[Difference]:
    """Security domains by AID, with their keys' versions, identifiers and types; values are never visible."""
    if scan.domains is None:
        return
    wanted = {
        d.aid: frozenset((k.version, k.identifier, k.type) for k in d.keys) for d in fs.security_domains
    }
    for aid in sorted(wanted.keys() | scan.domains.keys()):
        name = f"sd {aid.hex().upper()}"
        if aid not in scan.domains:
            yield Difference(name, Verdict.MISSING)
        elif aid not in wanted:
            yield Difference(name, Verdict.EXTRA)
        elif (keys := scan.domains[aid]) is not None and keys != wanted[aid]:
            yield Difference(name, Verdict.DIFFERS, _key_text(wanted[aid]), _key_text(keys), "keys")
        else:
            yield Difference(name, Verdict.EQUAL)


def _key_text(keys: frozenset[tuple[int, int, int]]) -> str:
    return ", ".join(
        f"{version:02X}/{identifier:02X} type {kind:02X}" for version, identifier, kind in sorted(keys)
    )


def difference(before: Package, after: Package) -> Comparison:
    """What installing `after` instead of `before` changes, file by file; secrets only as changed or not."""
    old, new = instantiate(before, ANY_CARD), instantiate(after, ANY_CARD)
    items = [_diffed(item) for item in compare(scan_of(new), old).items if item.verdict is not Verdict.EQUAL]
    items = [item for item in items if item is not None]
    items += _assumed(old, new)
    items += _secrets(old, new)
    if (before.header, after.header) != (None, None) and before.iccid != after.iccid:
        items.insert(0, Difference("ICCID", Verdict.DIFFERS, str(before.iccid), str(after.iccid), "header"))
    return Comparison(tuple(item for item in items if item is not None))


def _diffed(item: Difference) -> Difference | None:
    if item.verdict is Verdict.NOT_COMPARABLE:
        return None
    if item.verdict is Verdict.VOLATILE:
        return msgspec.structs.replace(item, verdict=Verdict.DIFFERS)
    return item


def _assumed(old: FileSystem, new: FileSystem) -> Iterator[Difference]:
    """Files that one of the two leaves to the template's unknown default."""
    for key, node in old.walk():
        other = new.node(key)
        if not isinstance(node, Ef) or not isinstance(other, Ef):
            continue
        if node.source is Source.ASSUMED and other.source is not Source.ASSUMED:
            yield Difference(
                old.path(key), Verdict.DIFFERS, "default", other.content.hex().upper(), "content"
            )


def _secrets(old: FileSystem, new: FileSystem) -> Iterator[Difference]:
    for what, before, after in (
        ("authentication parameters", old.authentications, new.authentications),
        ("PUKs", old.puks, new.puks),
        ("PINs", _pins(old), _pins(new)),
        ("remote file management", old.remote, new.remote),
    ):
        if before != after:
            yield Difference(what, Verdict.DIFFERS)
    old_domains = {d.aid: d for d in old.security_domains}
    for domain in new.security_domains:
        if domain.aid in old_domains and old_domains[domain.aid] != domain:
            yield Difference(f"sd {domain.aid.hex().upper()}", Verdict.DIFFERS, what="keys or parameters")


def _pins(fs: FileSystem) -> tuple[object, ...]:
    return tuple((key, node.pins) for key, node in fs.walk() if isinstance(node, Directory) and node.pins)
