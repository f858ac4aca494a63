"""`keim audit show FILE [LEAF]`: what a log says, without judging it."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from keim.audit.leaf import Leaf
from keim.cli.audit.verify import opened
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.der import TOLERANT, to_plain
from keim.errors import Malformed
from keim.ids import Eid
from keim.io.audit_files import ExportIndex
from keim.messages.package import EuiccPackageRequest, EuiccPackageResult

_SIGNED = (("package", EuiccPackageRequest), ("result", EuiccPackageResult))


def run(args: argparse.Namespace) -> int:
    with opened(args.file) as file:
        log = ExportIndex(file)
        if args.leaf is not None:
            print_json(document_of(args.leaf, log.leaf(args.leaf)))
            return ExitCode.OK
        wanted = _filter(args)
        found = []
        for index, octets in log.leaves():
            leaf = _decoded(octets)
            if leaf is not None and not wanted(leaf):
                continue
            if args.json:
                found.append(summary_of(index, leaf))
            else:
                print(line_of(index, leaf))
        if args.json:
            print_json({"leaves": found})
    note("nothing of this was checked: keim audit verify does that")
    return ExitCode.OK


def _filter(args: argparse.Namespace) -> Callable[[Leaf], bool]:
    eid = None if args.eid is None else Eid(args.eid).octets
    return lambda leaf: (eid is None or leaf.eid == eid) and (args.kind is None or leaf.kind == args.kind)


def _decoded(octets: bytes) -> Leaf | None:
    try:
        return Leaf.decode(octets)
    except Malformed:
        return None


def summary_of(index: int, leaf: Leaf | None) -> dict[str, object]:
    if leaf is None:
        return {"leaf": index, "kind": None}
    summary: dict[str, object | None] = {
        "leaf": index,
        "time": leaf.at.isoformat(),
        "kind": leaf.kind,
        "actor": leaf.actor,
        "eid": None if leaf.eid is None else str(Eid.from_octets(leaf.eid)),
        "operation": leaf.operation,
        "carries": carried(leaf) or None,
        "doubt": None if leaf.doubt is None else leaf.doubt.name.lower(),
    }
    return {name: value for name, value in summary.items() if value is not None}


def carried(leaf: Leaf) -> list[str]:
    words = [word for word in ("package", "result") if getattr(leaf, word) is not None]
    return words + (["notifications"] if leaf.statements else [])


def line_of(index: int, leaf: Leaf | None) -> str:
    if leaf is None:
        return f"{index:>8}  (no leaf that can be read)"
    eid = "" if leaf.eid is None else Eid.from_octets(leaf.eid)
    words = [
        leaf.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        leaf.kind,
        leaf.actor,
        eid,
        leaf.operation or "",
        *carried(leaf),
    ]
    return f"{index:>8}  " + "  ".join(word for word in words if word)


def document_of(index: int, octets: bytes) -> dict[str, object]:
    """Everything, the signed objects field by field."""
    leaf = Leaf.decode(octets)
    document = summary_of(index, leaf)
    for name, kind in _SIGNED:
        carried_octets = getattr(leaf, name)
        if carried_octets is not None:
            document[name] = {"octets": carried_octets.hex()}
            try:
                document[name] = {
                    "octets": carried_octets.hex(),
                    "value": to_plain(kind.decode(carried_octets, TOLERANT)),
                }
            except Malformed as error:
                document[name] = {"octets": carried_octets.hex(), "unreadable": str(error)}
    if leaf.statements:
        document["notifications"] = [bytes(found.statement).hex() for found in leaf.statements]
    if leaf.references:
        document["certificates"] = [digest.hex() for digest in leaf.references]
    if leaf.association_token is not None:
        document["association_token"] = leaf.association_token
    if leaf.detail is not None:
        document["detail"] = leaf.detail.decode("utf-8", "backslashreplace")
    return document | {"octets": octets.hex()}
