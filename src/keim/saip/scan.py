"""What a card has: read through APDUs (a procedure without I/O of its own) or taken from a file system.

The scan tries every file identifier of the package to compare with and of all templates. Must never
import anything above floor 0.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import msgspec

from keim.der import read_tlv, walk
from keim.errors import Malformed
from keim.saip.filesystem import MF_FID, Directory, Ef, FileSystem
from keim.saip.refusals import BadRecipe

_KINDS = {0x01: "transparent", 0x02: "linear fixed", 0x06: "cyclic", 0x38: "DF", 0x39: "BER-TLV"}
Apdus = Generator[bytes, bytes, Any]
"""Yields commands, wants the responses with their status words."""


class ScannedNode(msgspec.Struct, frozen=True):
    """One file or directory as the card shows it; None where it does not say."""

    kind: str
    size: int | None = None
    record_length: int | None = None
    sfi: int | None = None
    life_cycle: int | None = None
    aid: bytes | None = None
    content: bytes | None = None
    """None: the access rule forbids reading."""


class Scan(msgspec.Struct, frozen=True):
    nodes: dict[str, ScannedNode]
    """By path, as `FileSystem.path` writes them."""
    applications: frozenset[bytes] | None = None
    """AIDs; None when the card was not asked."""
    domains: dict[bytes, frozenset[tuple[int, int, int]] | None] | None = None
    """Security domains: (version, identifier, type) of their keys, None when these are not visible."""


def scan_of(fs: FileSystem) -> Scan:
    """The scan that a file system would give to someone who may read everything."""
    nodes: dict[str, ScannedNode] = {}
    for key, node in fs.walk():
        if isinstance(node, Directory):
            nodes[fs.path(key)] = ScannedNode(node.structure.value, aid=node.aid, life_cycle=node.life_cycle)
            continue
        found = fs.node(fs.target(key))
        target = found if isinstance(found, Ef) else node
        nodes[fs.path(key)] = ScannedNode(
            kind=target.structure.value,
            size=target.size,
            record_length=target.record_length,
            sfi=node.sfi,
            life_cycle=node.life_cycle,
            content=target.content,
        )
    return Scan(
        nodes=nodes,
        applications=frozenset(entry.aid for entry in fs.applications),
        domains={
            d.aid: frozenset((k.version, k.identifier, k.type) for k in d.keys) for d in fs.security_domains
        },
    )


def scan_card(fs: FileSystem, pins: Iterable[tuple[int, bytes]] = ()) -> Apdus:
    """Selects and reads everything that `fs` has, after verifying `pins` (reference, value); returns a
    `Scan`.

    Files that a card has beyond `fs` are found as far as the file system's neighbours name them.
    """
    for reference, value in pins:
        yield bytes((0x00, 0x20, 0x00, reference, 0x08)) + value
    nodes: dict[str, ScannedNode] = {}
    for key, _ in fs.walk():
        selected = yield from _select(fs, key)
        if selected is None:
            continue
        node = _node_of(selected)
        if node.kind not in ("DF", "MF", "ADF"):
            content = yield from _read(node)
            node = msgspec.structs.replace(node, content=content)
        elif len(key) == 1:
            node = msgspec.structs.replace(node, kind="MF" if key[0] == MF_FID else "ADF")
        nodes[fs.path(key)] = node
    return Scan(nodes)


def _select(fs: FileSystem, key: tuple[int, ...]) -> Apdus:
    """Selects from the root of the key downwards; the FCP of the last, None when something is not there."""
    root = fs.node(key[:1])
    aid = root.aid if isinstance(root, Directory) else None
    if key[0] == MF_FID:
        answer = yield bytes.fromhex("00A40004023F0000")
    elif aid is not None:
        answer = yield b"\x00\xa4\x04\x04" + bytes((len(aid),)) + aid + b"\x00"
    else:
        return None
    answer = yield from _whole(answer)
    for fid in key[1:]:
        if answer is None:
            return None
        answer = yield b"\x00\xa4\x00\x04\x02" + fid.to_bytes(2, "big") + b"\x00"
        answer = yield from _whole(answer)
    return answer


def _whole(answer: bytes) -> Apdus:
    """The data of an answer, fetched with GET RESPONSE where the card wants that; None for an error."""
    while answer[-2:-1] in (b"\x61", b"\x9f"):
        more = yield bytes((0x00, 0xC0, 0x00, 0x00, answer[-1]))
        answer = answer[:-2] + more
    if answer[-2:] in (b"\x90\x00", b"\x62\x83") or answer[-2:-1] == b"\x91":
        return answer[:-2]
    return None


def _node_of(fcp: bytes) -> ScannedNode:
    kind, size, record_length, sfi, life_cycle, aid = "", None, None, None, None, None
    try:
        outer = read_tlv(fcp, any_length_form=True)
        for part in walk(fcp, outer.content, outer.end):
            value = fcp[part.content : part.end]
            if part.tag == 0x82 and value:
                kind = _KINDS.get(value[0] & 0x3F, "unknown")
                record_length = int.from_bytes(value[2:4], "big") if len(value) >= 4 else 0
            elif part.tag == 0x80:
                size = int.from_bytes(value, "big")
            elif part.tag == 0x84:
                aid = value
            elif part.tag == 0x88 and value:
                sfi = value[0] >> 3
            elif part.tag == 0x8A and value:
                life_cycle = value[0]
    except Malformed as fault:
        raise BadRecipe(f"the card answers SELECT with something that is no FCP: {fault}") from None
    return ScannedNode(kind, size, record_length, sfi, life_cycle, aid)


def _read(node: ScannedNode) -> Apdus:
    if node.kind == "transparent":
        return (yield from _read_binary(node.size or 0))
    if node.kind in ("linear fixed", "cyclic") and node.record_length:
        records = []
        for number in range(1, (node.size or 0) // node.record_length + 1):
            answer = yield bytes((0x00, 0xB2, number, 0x04, node.record_length & 0xFF))
            record = yield from _whole(answer)
            if record is None:
                return None
            records.append(record)
        return b"".join(records)
    return None


def _read_binary(size: int) -> Apdus:
    content = b""
    while len(content) < size:
        step = min(size - len(content), 0xF0)
        answer = yield b"\x00\xb0" + len(content).to_bytes(2, "big") + bytes((step,))
        part = yield from _whole(answer)
        if not part:
            return None
        content += part
    return content


def scan_document(scan: Scan) -> dict[str, Any]:
    """The scan as JSON that `scan_from_document` reads again."""
    return {
        "files": {
            path: {
                "kind": node.kind,
                "size": node.size,
                "record_length": node.record_length,
                "sfi": node.sfi,
                "life_cycle": node.life_cycle,
                "aid": node.aid.hex().upper() if node.aid is not None else None,
                "content": node.content.hex().upper() if node.content is not None else None,
            }
            for path, node in scan.nodes.items()
        },
        "applications": None
        if scan.applications is None
        else sorted(a.hex().upper() for a in scan.applications),
        "domains": None
        if scan.domains is None
        else {
            aid.hex().upper(): None if keys is None else sorted(list(key) for key in keys)
            for aid, keys in scan.domains.items()
        },
    }


def scan_from_document(document: dict[str, Any]) -> Scan:
    try:
        nodes = {
            path: ScannedNode(
                kind=entry["kind"],
                size=entry.get("size"),
                record_length=entry.get("record_length"),
                sfi=entry.get("sfi"),
                life_cycle=entry.get("life_cycle"),
                aid=bytes.fromhex(entry["aid"]) if entry.get("aid") else None,
                content=bytes.fromhex(entry["content"]) if entry.get("content") is not None else None,
            )
            for path, entry in document["files"].items()
        }
        applications = document.get("applications")
        domains = document.get("domains")
        return Scan(
            nodes,
            None if applications is None else frozenset(bytes.fromhex(aid) for aid in applications),
            None
            if domains is None
            else {
                bytes.fromhex(aid): None if keys is None else frozenset((k[0], k[1], k[2]) for k in keys)
                for aid, keys in domains.items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
        raise BadRecipe(f"this is no scan of a card: {fault!r}") from None
