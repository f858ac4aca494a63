"""`keim audit export DIR FILE`: a published log as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from keim.audit.export import export
from keim.cli.exit_codes import ExitCode
from keim.cli.output import note, print_json
from keim.errors import Refused
from keim.io.audit_files import LogDirectory, write_export
from keim.io.pem import read_certificates


def run(args: argparse.Namespace) -> int:
    target = Path(args.file)
    if target.exists():
        raise Refused(f"{target} exists already", code="audit.export_exists")
    roots = [root.der for path in args.root for root in read_certificates(Path(path))]
    log = LogDirectory.open(Path(args.log))
    octets = write_export(target, export(log, roots=roots))
    size = log.size
    if args.json:
        print_json({"file": str(target), "octets": octets, "leaves": size, "log_key": log.key.text})
    else:
        print(target)
        note(f"{size} leaves, {octets} octets; check it with: keim audit verify {target} --root CI.pem")
    return ExitCode.OK
