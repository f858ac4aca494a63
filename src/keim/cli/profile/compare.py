"""`keim profile compare SCAN PACKAGE`: what a card has, beside what the package says it should have."""

from __future__ import annotations

import argparse
import json
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note
from keim.cli.profile import add_json
from keim.cli.profile.diff import print_items
from keim.cli.profile.files import read_bytes, read_text
from keim.errors import Refused


def register(verbs: Any) -> None:
    parser = verbs.add_parser(
        "compare", help="compare the scan of a card with a package", description=__doc__
    )
    parser.add_argument("scan", metavar="SCAN", help="JSON of a card's scan, or a package taken as the card")
    parser.add_argument("package", metavar="PACKAGE")
    parser.add_argument("--all", action="store_true", help="equal items too")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.saip.comparison import Verdict, compare
    from keim.saip.installation import instantiate
    from keim.saip.package import Package
    from keim.saip.scan import scan_from_document, scan_of

    data = read_bytes(args.scan)
    if data[:1] in (b"{", b" ", b"\n"):
        try:
            scan = scan_from_document(json.loads(read_text(args.scan)))
        except json.JSONDecodeError as fault:
            raise Refused(f"{args.scan} is no JSON: {fault}") from None
    else:
        scan = scan_of(instantiate(Package.decode(data)))
    result = compare(scan, Package.decode(read_bytes(args.package)))
    shown = [item for item in result.items if args.all or item.verdict is not Verdict.EQUAL]
    print_items(shown, as_json=args.json)
    note(", ".join(f"{count} {verdict.value}" for verdict, count in result.counts().items()))
    return ExitCode.OK if result.is_equal else ExitCode.PARTLY_FAILED
