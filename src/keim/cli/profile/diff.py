"""`keim profile diff A B`: what a card would have differently, file by file."""

from __future__ import annotations

import argparse
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, print_json
from keim.cli.profile import add_json
from keim.cli.profile.files import read_bytes


def register(verbs: Any) -> None:
    parser = verbs.add_parser("diff", help="compare two packages file by file", description=__doc__)
    parser.add_argument("before", metavar="A")
    parser.add_argument("after", metavar="B")
    parser.add_argument("--exit-code", action="store_true", help="exit with 7 when there are differences")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.saip.comparison import difference
    from keim.saip.package import Package

    before, after = (Package.decode(read_bytes(name)) for name in (args.before, args.after))
    result = difference(before, after)
    print_items(result.items, as_json=args.json)
    return ExitCode.PARTLY_FAILED if args.exit_code and result.items else ExitCode.OK


def print_items(items: Any, *, as_json: bool) -> None:
    """One line an item, or one document."""
    if as_json:
        print_json([_document(item) for item in items])
        return
    marks: dict[str, tuple[str, Any]] = {
        "missing": ("-", "red"),
        "extra": ("+", "green"),
        "equal": ("=", "dim"),
    }
    for item in items:
        mark, colour = marks.get(item.verdict.value, ("~", "yellow"))
        what = f" {item.what}" if item.what else ""
        verdict = "" if item.verdict.value == "differs" else f" ({item.verdict.value})"
        print(coloured(f"{mark} {item.item}{what}{verdict}", colour))
        if item.what and (item.expected or item.actual):
            print(f"    {item.expected}\n    {item.actual}")


def _document(item: Any) -> dict[str, str]:
    document = {
        "item": item.item,
        "verdict": item.verdict.value,
        "what": item.what,
        "expected": item.expected,
        "actual": item.actual,
    }
    return {name: value for name, value in document.items() if value}
