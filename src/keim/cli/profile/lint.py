"""`keim profile lint`: every rule over one or more packages; text, JSON or SARIF."""

from __future__ import annotations

import argparse
from typing import Any

from keim import __version__
from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, note, print_json
from keim.cli.profile.files import read_bytes


def register(verbs: Any) -> None:
    parser = verbs.add_parser("lint", help="check packages against the rules", description=__doc__)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=".der files, - for stdin")
    parser.add_argument("--budget", type=int, default=600, help="octets of an IoT minimal profile (600)")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--ignore", action="append", default=[], metavar="RULE", help="leave a rule out")
    parser.add_argument("--rules", action="store_true", help="list all rules")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--sarif", action="store_true", help="SARIF 2.1.0, for code scanning")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.errors import Refused
    from keim.saip.linter import finding_document, lint, sarif
    from keim.saip.refusals import Severity
    from keim.saip.rules.catalogue import RULES

    if args.rules:
        for rule in RULES.values():
            print(f"{rule.id:16} {rule.severity.value:8} {rule.sentence}")
        return ExitCode.OK
    if not args.packages:
        raise Refused("name at least one package (or --rules)")
    unknown = [name for name in args.ignore if name not in RULES]
    if unknown:
        raise Refused(f"there is no rule {unknown[0]}; see keim profile lint --rules")
    results = {
        name: tuple(f for f in lint(read_bytes(name), budget=args.budget) if f.rule not in args.ignore)
        for name in args.packages
    }
    if args.sarif:
        print_json(sarif(results, __version__))
    elif args.json:
        print_json(
            [{"file": n, "findings": [finding_document(f) for f in found]} for n, found in results.items()]
        )
    else:
        for name, found in results.items():
            for f in found:
                print(_line(name, f, RULES[f.rule].fix))
    counted = [f.severity for found in results.values() for f in found]
    errors, warnings = counted.count(Severity.ERROR), counted.count(Severity.WARNING)
    note(f"{errors} errors, {warnings} warnings in {len(results)} package(s)")
    return ExitCode.REFUSED_BY_POLICY if errors or (args.strict and warnings) else ExitCode.OK


def _line(name: str, finding: Any, fix: str) -> str:
    colours: dict[str, Any] = {"error": "red", "warning": "yellow", "info": "dim"}
    severity = coloured(finding.severity.value, colours[finding.severity.value])
    return f"{name}: {severity} {finding}\n    fix: {fix}"
