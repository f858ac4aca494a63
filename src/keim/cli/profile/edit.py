"""`keim profile edit`: change identities, keys, PINs, names and files of a package, and check it again."""

from __future__ import annotations

import argparse
from typing import Any

from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.cli.profile import add_json
from keim.cli.profile.files import read_bytes, write_output
from keim.errors import Refused

_ROW = (
    "iccid",
    "imsi",
    "ki",
    "opc",
    "op",
    "topc",
    "pin",
    "puk",
    "adm",
    "smsp",
    "name",
    "apn",
    "kic",
    "kid",
    "dek",
)


def register(verbs: Any) -> None:
    parser = verbs.add_parser("edit", help="change values of a package", description=__doc__)
    parser.add_argument("package", metavar="PACKAGE")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="- for stdout")
    for key in _ROW:
        parser.add_argument(f"--{key}", metavar="VALUE")
    parser.add_argument(
        "--file", action="append", default=[], metavar="PATH=HEX", help="such as ADF.USIM/6F07=08..."
    )
    parser.add_argument("--renumber", action="store_true", help="number the elements 1, 2, 3 ...")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.saip import edit
    from keim.saip.batch import hex_octets, personalised
    from keim.saip.linter import finding_document, lint
    from keim.saip.package import Package
    from keim.saip.refusals import Severity

    package = Package.decode(read_bytes(args.package))
    row = {key: value for key in _ROW if (value := getattr(args, key)) is not None}
    edited = personalised(package, row)
    for assignment in args.file:
        path, equals, value = assignment.partition("=")
        if not equals:
            raise Refused(f"--file wants PATH=HEX, not {assignment!r}")
        edited = edit.with_file(edited, path, hex_octets(value, path))
    if args.renumber:
        edited = edit.renumbered(edited)
    known = {(f.rule, f.path, f.message) for f in lint(package)}
    fresh = [
        f
        for f in lint(edited)
        if (f.rule, f.path, f.message) not in known and f.severity is not Severity.INFO
    ]
    write_output(args.output, edited.encode())
    changed = [b.name for a, b in zip(package.elements, edited.elements, strict=True) if a.raw != b.raw]
    if args.json and args.output != "-":
        print_json(
            {"file": args.output, "changed": changed, "findings": [finding_document(f) for f in fresh]}
        )
    note(f"{args.output}: {edited.size} octets, changed: {', '.join(changed) or 'nothing'}")
    for f in fresh:
        note(f"  new {f.severity.value} {f}")
    return ExitCode.OK
