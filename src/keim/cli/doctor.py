"""`keim doctor`: what keim finds on this machine and what to install for each missing piece."""

from __future__ import annotations

import argparse

from keim.cli.exit_codes import ExitCode
from keim.cli.output import coloured, print_json
from keim.cli.parser import Nouns


def register(nouns: Nouns) -> None:
    parser = nouns.add_parser(
        "doctor",
        help="look at this machine: what keim finds here and what to install for the rest",
        description="Look at this machine. Exit code 0 when all that keim requires is there.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from keim.cli.machine import examine

    findings = examine()
    is_fit = all(finding.state != "missing" or not finding.is_required for finding in findings)
    if args.json:
        print_json({"fit": is_fit, "findings": [finding.document() for finding in findings]})
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            mark = {
                "ok": coloured("ok     ", "green"),
                "missing": coloured("missing", "red" if finding.is_required else "yellow"),
                "note": coloured("note   ", "cyan"),
            }[finding.state]
            print(f"{mark}  {finding.name.ljust(width)}  {finding.detail}")
            if finding.remedy:
                print(f"{'':9}{'':{width}}  -> {finding.remedy}")
    return ExitCode.OK if is_fit else ExitCode.FAULT
