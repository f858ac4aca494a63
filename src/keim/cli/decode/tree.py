"""Objects as trees: text with offsets, octets and names, or plain documents for JSON."""

from __future__ import annotations

from typing import Any

from keim.cli.decode.checks import checks_of, readable
from keim.cli.output import coloured
from keim.der import read_tlv, tag_text, to_plain
from keim.der.view import Node, view
from keim.errors import Malformed
from keim.messages.roots import Recognised, recognise

_SHOWN = 24
"""So many octets of a value stand in a line of the tree; `--json` has them all."""


def objects(
    octets: bytes, kinds: list[Any] | None = None, *, is_tolerant: bool = True
) -> list[dict[str, Any]]:
    """One document for each of the TLVs that stand one after the other."""
    documents: list[dict[str, Any]] = []
    position = 0
    while position < len(octets):
        try:
            end = read_tlv(octets, position, any_length_form=True).end
        except Malformed as fault:
            documents.append(_rest(octets, position, fault))
            break
        documents.append(_one(octets[position:end], position, kinds, is_tolerant=is_tolerant))
        position = end
    return documents


def _rest(octets: bytes, position: int, fault: Malformed) -> dict[str, Any]:
    """What cannot be read as a TLV is shown as it is."""
    rest = octets[position:]
    lines = [f"{position:04x}  {_short(rest)}  {coloured('no TLV', 'red')}: {fault}"]
    return {"offset": position, "type": None, "octets": rest.hex(), "lines": lines, "faults": [fault]}


def _one(octets: bytes, position: int, kinds: list[Any] | None, *, is_tolerant: bool) -> dict[str, Any]:
    found = recognise(octets, kinds, is_tolerant=is_tolerant)
    node = view(
        octets, found.kind if found.kind is not None else (kinds[0] if kinds else _likely(octets, found))
    )
    document: dict[str, Any] = {
        "offset": position,
        "type": None if found.kind is None else _type_name(found, node),
        "octets": octets.hex(),
        "tree": _plain_node(octets, node, position),
    }
    lines = [_title(octets, node, found, position), *_lines(octets, node, 0, position)]
    faults = []
    if found.kind is not None:
        document["value"] = to_plain(found.value, found.kind)
        document["is_tolerated"] = found.is_tolerated
        checks = checks_of(found.value)
        document["checks"] = [
            {"what": check.what, "outcome": check.outcome, "why": check.why} for check in checks
        ]
        marks = {
            "good": coloured("ok", "green"),
            "bad": coloured("WRONG", "red"),
            "open": coloured("open", "yellow"),
        }
        lines += [f"  {marks[check.outcome]} {check.what}: {check.why}" for check in checks]
    else:
        faults = list(found.refusals.values())
        document["refusals"] = {name: str(refusal) for name, refusal in found.refusals.items()}
    document |= {"lines": lines, "faults": faults}
    return document


def _likely(octets: bytes, found: Recognised) -> Any:
    """The type whose labels help most with an object that is none: the one whose decoder got farthest."""
    from keim.messages.roots import all_types

    if not found.refusals:
        return None
    best = max(found.refusals, key=lambda name: found.refusals[name].offset)
    return all_types().get(best)


def _type_name(found: Recognised, node: Node) -> str:
    return str(getattr(found.kind, "__keim_name__", node.type))


def _title(octets: bytes, node: Node, found: Recognised, position: int) -> str:
    where = f"at {position}, " if position else ""
    if found.kind is None:
        known = ", ".join(found.refusals) or "no known message type"
        what = coloured(f"no valid {known}" if found.refusals else known, "red")
    else:
        what = coloured(_type_name(found, node), "bold")
        what += coloured(" (with deviations that are tolerated)", "yellow") if found.is_tolerated else ""
    return f"{what}: {where}{len(octets)} octets"


def _lines(octets: bytes, node: Node, depth: int, position: int) -> list[str]:
    indent = "  " * depth
    header = octets[node.start : node.content].hex(" ")
    name = (
        coloured(node.name, "cyan")
        if node.name
        else coloured("unknown" if not node.type else node.type, "dim")
    )
    line = f"{node.start + position:04x}  {indent}{coloured(header, 'dim')}  {name}"
    if node.value is not None:
        shown = node.value if len(node.value) <= 2 * _SHOWN else f"{node.value[: 2 * _SHOWN]}…"
        line += f"  {shown}" + (f"  ({node.end - node.content} octets)" if shown != node.value else "")
        meaning = readable(node, octets[node.content : node.end])
        line += f"  {coloured(meaning, 'green')}" if meaning else ""
    elif node.name and node.type not in ("", "list", node.name):
        line += coloured(f"  {node.type}", "dim")
    return [line, *(text for child in node.children for text in _lines(octets, child, depth + 1, position))]


def _plain_node(octets: bytes, node: Node, position: int) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": node.name or None,
        "type": node.type or None,
        "tag": tag_text(node.tag) if node.tag else None,
        "offset": node.start + position,
        "header": octets[node.start : node.content].hex(),
        "length": node.end - node.content,
    }
    if node.value is not None:
        plain["octets"] = octets[node.content : node.end].hex()
        plain["value"] = node.value
        if meaning := readable(node, octets[node.content : node.end]):
            plain["meaning"] = meaning
    else:
        plain["children"] = [_plain_node(octets, child, position) for child in node.children]
    return plain


def _short(octets: bytes) -> str:
    return octets[:_SHOWN].hex() + ("…" if len(octets) > _SHOWN else "")
